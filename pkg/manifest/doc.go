// SPDX-License-Identifier: Apache-2.0

// Package manifest collects the objects that a restore of an application needs beside its data:
// the workloads that mount the claims, the claims, the Services before them and the ConfigMaps
// that they read. What a cluster adds to objects is left out, so that they can be applied again.
//
// No content of a Secret is among them: Secrets are never read, only their names are kept. And
// because secrets stand in other objects as well, what looks like one is withheld: the value of
// a variable, an argument, an annotation or a key of a ConfigMap, told by its name, by its form
// or by how random it is. Where that errs it errs by withholding; each value withheld is named.
package manifest
