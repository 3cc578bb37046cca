module github.com/cert-manager/cert-manager/webhook-binary

go 1.26.4

// The versions come from ../go.mod, where this module is a replacement.
require github.com/cert-manager/cert-manager v1.21.2
