// SPDX-License-Identifier: Apache-2.0

package scaffold

import (
	"fmt"
	"strings"

	"github.com/knowngood/knowngood/pkg/step"
)

func pipelineRun(seen Seen, specs []step.Spec) string {
	var b strings.Builder
	b.WriteString(made)
	fmt.Fprintf(&b, `apiVersion: tekton.dev/v1
kind: PipelineRun
metadata:
  generateName: release-
  namespace: %s
spec:
  pipelineRef:
    name: knowngood-release # kubectl apply it, and a Task named deploy of your own
  params:
    - name: app
      value: %s
    - name: commit
      value: "0000000000000000000000000000000000000000" # of each run: the id of its commit
    - name: sarif # where your scan Task writes, below the workspace
      value: %s  taskRunSpecs:
`, text(seen.Namespace), text(seen.App), files(seen.Scanners, "        "))
	for _, spec := range specs {
		fmt.Fprintf(&b, "    - pipelineTaskName: %s\n      serviceAccountName: %s\n", spec.ID(), Account(spec))
	}
	b.WriteString(`    - pipelineTaskName: report-failed-deploy
      serviceAccountName: knowngood-report
    - pipelineTaskName: deploy
      serviceAccountName: deploy # yours: it may do what your Task deploy does
  taskRunTemplate:
    podTemplate:
      securityContext:
        fsGroup: 65532 # lets the Tasks, who are not root, write to the volume
  workspaces:
    - name: source
      persistentVolumeClaim:
        claimName: release # a claim that holds the checkout and the scans
`)
	return b.String()
}
