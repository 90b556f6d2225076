// The modules whose custom resource definitions the tests install.
//
// Only their files are read and none of their packages is built, so `go mod tidy` would empty this file.
// After a change: `go mod download MODULE` in this folder completes go.sum.

module segmenter.dev/tests/cluster/tools/crds

go 1.26.0

require (
	github.com/kedacore/keda/v2 v2.21.0
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.6.3
)
