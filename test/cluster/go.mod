module github.com/knowngood/knowngood/test/cluster

go 1.26.4

require golang.org/x/sys v0.48.0

require github.com/google/go-cmp v0.7.0
