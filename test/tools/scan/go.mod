// The scanner whose SARIF the demo's gate reads, built from source.
//
// gosec v2.20.0 is the last one without clients of language models, which take
// five times as long to build as the scanner; its rules against SQL injection
// (G201, G202) are the same as today's. golang.org/x/tools stays at v0.36.0: the
// SSA pass of v0.40.0 wants results that this gosec does not hand over, and gosec
// then skips its SSA checks with a panic in the log.
module github.com/knowngood/knowngood/test/tools/scan

go 1.26.4

tool github.com/securego/gosec/v2/cmd/gosec

require (
	github.com/ccojocar/zxcvbn-go v1.0.2 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/gookit/color v1.5.4 // indirect
	github.com/securego/gosec/v2 v2.20.0 // indirect
	github.com/xo/terminfo v0.0.0-20210125001918-ca9a967f8778 // indirect
	golang.org/x/mod v0.27.0 // indirect
	golang.org/x/sync v0.16.0 // indirect
	golang.org/x/sys v0.35.0 // indirect
	golang.org/x/tools v0.36.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)
