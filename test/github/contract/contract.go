// SPDX-License-Identifier: Apache-2.0

// Package contract checks requests and answers against GitHub's own description of its API, so
// that a fake GitHub and its client cannot agree on something that GitHub does not know.
//
// It is strict beyond the description: a request may have no field that the description does
// not name, since GitHub ignores a misspelled one without a word. What the description leaves
// out (a comment's 65,536 bytes, a status's 140 characters, that a check run is not completed
// without a conclusion) the fake knows by itself.
package contract

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// Source is the npm package that the descriptions are of (MIT licence, see testdata/LICENSE), cut
// down by the command in the folder reduce. make soak holds them against it.
const Source = "@octokit/openapi@23.0.2"

//go:embed testdata/*.json
var descriptions embed.FS

// A Contract is one description: GitHub's, or that of a version of GitHub Enterprise Server.
type Contract struct {
	Name   string
	router routers.Router
}

// All returns every contract that there is.
func All(ctx context.Context) ([]*Contract, error) {
	files, err := fs.Glob(descriptions, "testdata/*.json")
	if err != nil {
		return nil, err
	}
	var all []*Contract
	for _, file := range files {
		one, err := load(ctx, file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, one)
	}
	return all, nil
}

// loaded are the contracts, read once for all tests of a program.
var loaded = sync.OnceValues(func() ([]*Contract, error) { return All(context.Background()) })

// Hold returns what holds a fake GitHub and who asks it to every contract: an exchange that one
// of them does not allow fails the test and is answered as an error.
func Hold(t testing.TB) func(*http.Request, []byte, int, http.Header, []byte) error {
	t.Helper()
	all, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return func(r *http.Request, sent []byte, status int, header http.Header, answer []byte) error {
		var wrong []error
		for _, c := range all {
			if err := c.Check(r, sent, status, header, answer); err != nil {
				wrong = append(wrong, fmt.Errorf("against %s: %w", c.Name, err))
			}
		}
		if len(wrong) > 0 {
			t.Error(errors.Join(wrong...))
		}
		return errors.Join(wrong...)
	}
}

func load(ctx context.Context, file string) (*Contract, error) {
	data, err := descriptions.ReadFile(file)
	if err != nil {
		return nil, err
	}
	loader := openapi3.NewLoader()
	loader.Context = ctx
	document, err := loader.LoadFromData(data)
	if err != nil {
		return nil, err
	}
	document.Servers = nil
	for _, item := range document.Paths.Map() {
		for _, operation := range item.Operations() {
			strict(operation)
		}
	}
	router, err := gorillamux.NewRouter(document)
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".json")
	return &Contract{Name: name, router: router}, nil
}

// strict refuses fields of a request's body that are not named, at any depth.
func strict(operation *openapi3.Operation) {
	if operation.RequestBody == nil || operation.RequestBody.Value == nil {
		return
	}
	for _, media := range operation.RequestBody.Value.Content {
		closed(media.Schema)
	}
}

// closed closes an object that names its fields. What a component describes is left alone,
// since answers may be made of it, too.
func closed(schema *openapi3.SchemaRef) {
	if schema == nil || schema.Value == nil || schema.Ref != "" {
		return
	}
	if len(schema.Value.Properties) > 0 {
		no := false
		schema.Value.AdditionalProperties = openapi3.AdditionalProperties{Has: &no}
	}
	closed(schema.Value.Items)
	for _, property := range schema.Value.Properties {
		closed(property)
		for _, form := range slices.Concat(property.Value.OneOf, property.Value.AnyOf) {
			closed(form)
		}
	}
}

// Check returns what is wrong with a request or its answer. Requests that are no REST calls
// (GraphQL) are not described and pass.
func (c *Contract) Check(request *http.Request, requestBody []byte, status int, header http.Header, body []byte) error {
	if request.URL.Path == "/graphql" {
		return nil
	}
	route, parameters, err := c.router.FindRoute(request)
	if err != nil {
		return fmt.Errorf("%s %s: %w", request.Method, request.URL.Path, err)
	}
	copied := request.Clone(request.Context())
	copied.Body = io.NopCloser(bytes.NewReader(requestBody))
	input := &openapi3filter.RequestValidationInput{
		Request: copied, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	// A request that GitHub answers with a refusal may well be wrong: that is why.
	if status < http.StatusBadRequest {
		if err := openapi3filter.ValidateRequest(request.Context(), input); err != nil {
			return fmt.Errorf("request %s %s: %w", request.Method, request.URL.Path, err)
		}
	}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: status, Header: header,
		Options: &openapi3filter.Options{MultiError: true, IncludeResponseStatus: status < http.StatusBadRequest},
	}
	answer.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(request.Context(), answer); err != nil {
		return fmt.Errorf("answer %d to %s %s: %w", status, request.Method, request.URL.Path, err)
	}
	return nil
}
