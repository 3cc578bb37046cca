// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/knowngood/knowngood/pkg/release"
)

// A run is one run while it is read. Its parts may come in any order, so results wait as
// pending until all of it is known.
type run struct {
	*document
	driver      component
	extensions  []component
	taxonomies  []component
	results     pendings
	hasResults  bool
	invocations []invocation
	artifacts   []place
	bases       map[string]place
	automation  string
	origins     []origin
	externals   []external
	lacking     bool // something that could hold or weigh a finding is not to be had
	settings    map[settingKey]setting
	switches    map[*rule]switches
	secrets     map[secretKey]bool
	numbers     map[float64]*float64
	paths       map[place]string
	kinds       map[kindKey]string
	said, masks map[string]string
	ruleNames   names // once indexed
	noticeNames names
	notes       notes

	at int // of the scan among the document's

	// What external properties are known by, and whether a run has taken their results.
	guid, digest string
	claimed      bool
}

func newRun(d *document) *run {
	return &run{
		document: d, secrets: map[secretKey]bool{}, numbers: map[float64]*float64{}, paths: map[place]string{},
		kinds: map[kindKey]string{}, said: map[string]string{}, masks: map[string]string{},
	}
}

// An origin is where the scanned source came from.
type origin struct {
	commit string
	mapped place
}

func (d *document) readRun(int) error {
	if d.dec.PeekKind() != jsontext.KindBeginObject {
		return d.wrong("an object")
	}
	r := newRun(d)
	r.at = len(d.scans)
	if err := d.charge(runOverhead); err != nil {
		return err
	}
	if err := d.object(strict, r.member); err != nil {
		return err
	}
	if len(r.externals) > 0 {
		d.waiting = append(d.waiting, r)
		d.scans = append(d.scans, release.Scan{})
		return nil
	}
	d.scans = append(d.scans, r.scan())
	return nil
}

func (r *run) member(name []byte) error {
	switch string(name) {
	case "tool":
		return r.object(strict, r.toolMember)
	case "results":
		r.hasResults = r.dec.PeekKind() != jsontext.KindNull
		return r.array(strict, r.readResult)
	case "invocations":
		return r.array(strict, r.readInvocation)
	case "artifacts":
		return r.array(lenient, r.readArtifact)
	case "originalUriBaseIds":
		return r.object(lenient, r.readBase)
	case "automationDetails":
		return r.object(lenient, func(name []byte) error {
			if string(name) == "id" {
				return r.keep(&r.automation)
			}
			return r.skip()
		})
	case "taxonomies":
		return r.array(lenient, func(int) error { return r.readComponent(&r.taxonomies, lenient) })
	case "versionControlProvenance":
		return r.array(lenient, r.readOrigin)
	case "externalPropertyFileReferences":
		return r.object(strict, r.readExternals)
	default:
		return r.skip()
	}
}

func (r *run) toolMember(name []byte) error {
	switch string(name) {
	case "driver":
		var components []component
		if err := r.readComponent(&components, strict); err != nil || len(components) == 0 {
			return err
		}
		r.driver = components[0]
		return nil
	case "extensions":
		return r.array(strict, func(int) error { return r.readComponent(&r.extensions, strict) })
	default:
		return r.skip()
	}
}

func (r *run) readArtifact(int) error {
	if len(r.artifacts) >= r.limits.Members {
		return r.tooMany("artifacts (limits: members)", int64(r.limits.Members))
	}
	at := place{index: -1}
	err := r.object(lenient, func(name []byte) error {
		if string(name) == "location" {
			return r.readPlace(&at)
		}
		return r.skip()
	})
	r.artifacts = append(r.artifacts, at)
	return cmp.Or(err, r.charge(overhead))
}

func (r *run) readBase(name []byte) error {
	if r.bases == nil {
		r.bases = map[string]place{}
	}
	id, err := r.intern(name)
	if err != nil {
		return err
	}
	var at place
	err = r.readPlace(&at)
	r.bases[id] = at
	return err
}

func (r *run) readOrigin(int) error {
	var o origin
	err := r.object(lenient, func(name []byte) error {
		switch string(name) {
		case "revisionId":
			return r.keep(&o.commit)
		case "mappedTo":
			return r.readPlace(&o.mapped)
		default:
			return r.skip()
		}
	})
	r.origins = append(r.origins, o)
	return cmp.Or(err, r.charge(overhead))
}

// scan makes the run's scan once all of the run was read.
func (r *run) scan() release.Scan {
	r.index()
	r.configure()
	scan := release.Scan{
		File:    r.file,
		Tool:    clean(r.driver.name, 200),
		Version: clean(r.driver.version, 100),
	}
	if scan.Tool == "" {
		scan.Tool = "unnamed tool"
		r.notes.add("the run does not name its tool")
	}
	if at := strings.LastIndexByte(r.automation, '/'); at >= 0 {
		scan.Category = clean(r.automation[:at], 200)
	}
	for _, o := range r.origins {
		if commit, err := release.ParseCommit(o.commit); err == nil {
			scan.Commit = commit
			break
		}
	}
	for _, i := range r.invocations {
		if i.ended.After(scan.Ended) {
			scan.Ended = i.ended
		}
	}
	scan.Findings = r.resolve(scan.Tool)
	scan.Rules = r.evaluated(scan.Findings)
	scan.Completeness = r.completeness()
	if strings.Contains(r.version, "-rtm.") {
		r.notes.add(fmt.Sprintf("version %q read as 2.1.0", clean(r.version, 40)))
	}
	scan.Notes = r.notes.list()
	return scan
}

// evaluated lists the rules that the tool names and has not switched off, and those that
// found something.
func (r *run) evaluated(findings []release.Finding) []string {
	ids := map[string]bool{}
	for i := range findings {
		ids[findings[i].Rule] = true
	}
	for c := -1; c < len(r.extensions); c++ {
		component := r.component(c)
		for i := range component.rules {
			if rule := &component.rules[i]; r.ran(rule) {
				ids[clean(rule.id, 300)] = true
			}
		}
	}
	delete(ids, "")
	return slices.Sorted(maps.Keys(ids))
}

// notes gathers what is said about a scan, each once, and counts what no longer fits. What says
// why a scan is not complete comes first.
type notes struct {
	blames, texts []string
	more          int
}

func (n *notes) add(text string) { n.keep(&n.texts, text) }

// blame says why the scan is not complete, or not known to be.
func (n *notes) blame(text string) { n.keep(&n.blames, text) }

func (n *notes) keep(in *[]string, text string) {
	switch {
	case slices.Contains(*in, text):
	case len(*in) < maxNotes:
		*in = append(*in, text)
	default:
		n.more++
	}
}

func (n *notes) list() []string {
	all := slices.Concat(n.blames, n.texts)
	if more := n.more + max(len(all)-maxNotes, 0); more > 0 {
		all = append(all[:min(len(all), maxNotes)], fmt.Sprintf("and %d notes more", more))
	}
	return all
}
