// SPDX-License-Identifier: Apache-2.0

package realcluster

import (
	"fmt"
	"testing"
)

// storeSwitch names an environment variable with an image of an S3 server that the nodes hold.
const storeSwitch = "KNOWNGOOD_TEST_STORE_IMAGE"

// Names of the Secrets that Store makes.
const (
	KeySecret    = "shop-backups"
	BucketSecret = "bucket"
)

const storeSpec = `
apiVersion: v1
kind: Service
metadata: {name: store, namespace: "%%NAMESPACE%%"}
spec:
  selector: {app: store}
  ports: [{name: s3, port: 7070}]
---
apiVersion: v1
kind: Pod
metadata: {name: store, namespace: "%%NAMESPACE%%", labels: {app: store}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  securityContext: {runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: store
    image: %[1]s
    imagePullPolicy: Never
    args: [--port, ":7070", posix, /data]
    env: [{name: ROOT_ACCESS_KEY, value: tester}, {name: ROOT_SECRET_KEY, value: tester-secret}]
    readinessProbe: {tcpSocket: {port: 7070}, periodSeconds: 1}
    volumeMounts: [{name: data, mountPath: /data}, {name: tmp, mountPath: /tmp}, {name: bucket, mountPath: /data/backups}]
  volumes: [{name: data, emptyDir: {}}, {name: bucket, emptyDir: {}}, {name: tmp, emptyDir: {}}]
---
apiVersion: v1
kind: Secret
metadata: {name: ` + BucketSecret + `, namespace: "%%NAMESPACE%%"}
stringData: {AWS_ACCESS_KEY_ID: tester, AWS_SECRET_ACCESS_KEY: tester-secret}
---
apiVersion: v1
kind: Secret
metadata: {name: ` + KeySecret + `, namespace: "%%NAMESPACE%%"}
stringData: {password: %[2]s}
`

// Store starts an S3 server with an empty bucket, and makes the Secrets with its credentials and
// with a key. It returns the repository in the bucket, as pods reach it.
func (c *Cluster) Store(t *testing.T, key string) string {
	t.Helper()
	image := c.Image(t, "knowngood.test/store:", storeSwitch)
	c.Apply(t, fmt.Sprintf(storeSpec, image, key))
	c.Ready(t, "store")
	return fmt.Sprintf("s3://backups/shop?region=us-east-1&use_path_style=true&endpoint=http://store.%s.svc:7070", c.Namespace)
}
