// What holds the namespaces of a pod.

module segmenter.dev/tests/cluster/tools/pause

go 1.26.0
