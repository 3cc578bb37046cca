// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// path returns the place as a path relative to the repository's root, or what the tool wrote
// when it lies outside, or cannot be told to lie inside.
func (r *run) path(at place) string {
	if at.uri == "" && at.index >= 0 && at.index < len(r.artifacts) {
		at = r.artifacts[at.index]
	}
	if at.uri == "" {
		return ""
	}
	if _, known := r.bases[at.base]; !known && asWritten(at.uri) {
		return at.uri
	}
	file, absolute, ok := filePath(at.uri)
	switch {
	case !ok:
		return cut(at.uri, maxText)
	case absolute:
		return r.relative(file, at.uri)
	case at.base == "":
		return inside(file)
	default:
		return r.based(file, at)
	}
}

// asWritten tells whether a URI is a clean relative path as it stands, as most are.
func asWritten(uri string) bool {
	segment := 0 // where the current one begins
	for i := 0; i <= len(uri); i++ {
		if i < len(uri) && uri[i] != '/' {
			if c := uri[i]; !tokenByte(c) {
				return false
			}
			continue
		}
		if name := uri[segment:i]; name == "" || name == "." || name == ".." {
			return false
		}
		segment = i + 1
	}
	return len(uri) <= maxText
}

// maxBases bounds a chain of base ids, which may run in a circle.
const maxBases = 20

// based puts the directories of the base ids in front. The last base of a chain, whether it
// names an absolute place or none, stands for the repository's root, unless the absolute
// place is known to lie elsewhere in the repository.
func (r *run) based(file string, at place) string {
	var seen []string
	for id := at.base; id != "" && !r.mapped(id); {
		if slices.Contains(seen, id) || len(seen) == maxBases {
			break
		}
		seen = append(seen, id)
		base, known := r.bases[id]
		if !known || base.uri == "" {
			break
		}
		dir, absolute, ok := filePath(strings.TrimSpace(base.uri))
		if !ok {
			break
		}
		if absolute {
			if full, ok := r.under(path.Join(dir, file)); ok {
				return full
			}
			break
		}
		file, id = dir+"/"+file, base.base
	}
	return inside(file)
}

// mapped tells whether the tool says that the repository's root lies at the base id.
func (r *run) mapped(id string) bool {
	for _, o := range r.origins {
		if o.mapped.base == id && strings.Trim(o.mapped.uri, "./") == "" {
			return true
		}
	}
	return false
}

// relative returns an absolute path relative to the repository.
func (r *run) relative(file, written string) string {
	file = path.Clean(file)
	if inner, ok := r.under(file); ok {
		return inner
	}
	if rooted(file) && !strings.Contains(written, ":") && !strings.Contains(written, `\`) {
		return inside(strings.TrimLeft(file, "/"))
	}
	return cut(written, maxText)
}

// under returns the path within the checkout, if it is one: the root that the caller named,
// what the tool's base ids and version control details say, and where CI systems check out.
func (r *run) under(file string) (string, bool) {
	if inner, ok := below(r.root, file); ok {
		return inner, true
	}
	for _, o := range r.origins {
		uri := o.mapped.uri
		if base, known := r.bases[o.mapped.base]; known {
			uri = strings.TrimSuffix(base.uri, "/") + "/" + strings.TrimLeft(uri, "/")
		}
		if dir, absolute, ok := filePath(uri); ok && absolute {
			if inner, ok := below(dir, file); ok {
				return inner, true
			}
		}
	}
	return belowWorkspace(file)
}

// below returns file relative to dir if it lies in it. The file system's root holds
// everything and tells nothing.
func below(dir, file string) (string, bool) {
	dir = strings.TrimSuffix(dir, "/")
	inner, ok := strings.CutPrefix(file, dir+"/")
	return inner, ok && dir != "" && inner != ""
}

// workspaces are where CI systems check out under a fixed name: containers of GitHub, Tekton's
// usual workspace, CircleCI, Bitbucket and Azure.
var workspaces = []string{ //nolint:gochecknoglobals // a table that nobody changes
	"/github/workspace", "/workspace/source", "/home/circleci/project", "/opt/atlassian/pipelines/agent/build",
	"/home/vsts/work/1/s", "D:/a/1/s",
}

// belowWorkspace knows where CI systems check out: besides those of a fixed name, GitHub's
// machines, where the repository's name stands twice.
func belowWorkspace(file string) (string, bool) {
	for _, dir := range workspaces {
		if inner, ok := below(dir, file); ok {
			return inner, true
		}
	}
	for _, work := range []string{"/home/runner/work/", "/Users/runner/work/", "D:/a/"} {
		rest, ok := strings.CutPrefix(file, work)
		if !ok {
			continue
		}
		if parts := strings.SplitN(rest, "/", 3); len(parts) == 3 && parts[0] == parts[1] && parts[2] != "" {
			return parts[2], true
		}
	}
	return "", false
}

// systemDirs are the first names of absolute paths on real machines. Tools that write /src/x
// for src/x do not begin with one of them.
var systemDirs = []string{ //nolint:gochecknoglobals // a table that nobody changes
	"home", "root", "usr", "etc", "var", "tmp", "opt", "mnt", "private", "Users", "builds", "workspace", "workspaces",
	"github", "proc", "sys", "dev", "run", "boot", "bin", "sbin", "lib", "lib64", "media", "srv", "Volumes", "Library",
	"System", "Applications", "nix", "data",
}

// rooted tells whether an absolute path means the repository's root by its first slash.
func rooted(file string) bool {
	first, _, _ := strings.Cut(strings.TrimLeft(file, "/"), "/")
	return strings.HasPrefix(file, "/") && !slices.Contains(systemDirs, first)
}

// inside returns the clean form of a relative path. One that leads out begins with "../": it
// must not name a folder on its way, in which a pattern would find it.
func inside(file string) string {
	file = path.Clean(strings.TrimLeft(file, "/"))
	if file == ".." || strings.HasPrefix(file, "../") {
		return cut(file, maxText)
	}
	if file == "." {
		return ""
	}
	return file
}

// filePath returns a URI reference as a path with forward slashes. ok is false when it names
// no file: another scheme, another host, or bytes that no path has.
func filePath(uri string) (file string, absolute, ok bool) {
	file = uri
	switch scheme, rest, found := cutScheme(uri); {
	case found && strings.EqualFold(scheme, "file"):
		if file, ok = fileScheme(rest); !ok {
			return "", false, false
		}
	case found && len(scheme) > 1:
		return "", false, false
	}
	file = slashed(unescape(file))
	if !utf8.ValidString(file) || strings.ContainsFunc(file, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", false, false
	}
	// /C:/dir is how a URI writes C:/dir.
	if len(file) > 3 && file[0] == '/' && isLetter(file[1]) && file[2] == ':' && file[3] == '/' {
		file = file[1:]
	}
	drive := len(file) > 2 && isLetter(file[0]) && file[1] == ':' && file[2] == '/'
	return file, drive || strings.HasPrefix(file, "/"), true
}

// fileScheme takes the authority off: file:///x, file:/x, file:////x and file://localhost/x
// are /x. Another host's files are not ours.
func fileScheme(rest string) (string, bool) {
	host, found := strings.CutPrefix(rest, "//")
	if !found {
		return rest, true
	}
	if !strings.HasPrefix(host, "/") {
		name, tail, _ := strings.Cut(host, "/")
		drive := len(name) == 2 && name[1] == ':'
		switch {
		case drive: // file://C:/x
			return host, true
		case !strings.EqualFold(name, "localhost"):
			return "", false
		}
		host = tail
	}
	return "/" + strings.TrimLeft(host, "/"), true
}

// cutScheme splits scheme:rest (RFC 3986, §3.1). A drive letter looks like a scheme.
func cutScheme(uri string) (scheme, rest string, found bool) {
	scheme, rest, found = strings.Cut(uri, ":")
	if !found || scheme == "" || !isLetter(scheme[0]) {
		return "", "", false
	}
	for i := 0; i < len(scheme); i++ {
		if c := scheme[i]; !isAlphanumeric(c) && c != '+' && c != '-' && c != '.' {
			return "", "", false
		}
	}
	return scheme, rest, true
}

// unescape decodes %XX and leaves alone what is no such escape.
func unescape(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			high, low := hexDigit(text[i+1]), hexDigit(text[i+2])
			if high >= 0 && low >= 0 {
				out = append(out, byte(high<<4|low)) //nolint:gosec // two digits fit a byte
				i += 2
				continue
			}
		}
		out = append(out, text[i])
	}
	return string(out)
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}

func slashed(text string) string { return strings.ReplaceAll(text, `\`, "/") }
