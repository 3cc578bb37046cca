// SPDX-License-Identifier: Apache-2.0

package release

import "time"

// A Certificate is one X.509 certificate as it was read from a cluster or from the wire.
type Certificate struct {
	// Serial is the serial number in lower-case hex without separators.
	Serial string `json:"serial"`
	// Fingerprint is the SHA-256 of the DER form in lower-case hex.
	Fingerprint string    `json:"fingerprint"`
	Subject     string    `json:"subject,omitempty"`
	Issuer      string    `json:"issuer,omitempty"`
	Names       []string  `json:"names,omitempty"`
	NotBefore   time.Time `json:"not_before,omitzero"`
	NotAfter    time.Time `json:"not_after,omitzero"`
}

// A Rotation is the replacement of one certificate: before, after, and who serves it.
type Rotation struct {
	Namespace string `json:"namespace"`
	// Name of the cert-manager Certificate; Secret is where it lies.
	Name   string `json:"name"`
	Secret string `json:"secret"`

	// Renewed is false when the certificate was not due or nothing could be renewed;
	// Why says it.
	Renewed bool        `json:"renewed"`
	Why     string      `json:"why,omitempty"`
	Before  Certificate `json:"before,omitzero"`
	After   Certificate `json:"after,omitzero"`

	Workloads []WorkloadChange `json:"workloads,omitempty"`
	Proofs    []Proof          `json:"proofs,omitempty"`
	Error     string           `json:"error,omitempty"`
}

// A WorkloadChange is what was done to a workload so that it serves the new certificate.
type WorkloadChange struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Action is "none" (it served the new one already), "restart" or "reload".
	Action string `json:"action"`
	Event  Event  `json:"event"`
}

// A Proof is one endpoint of one pod, asked over the wire.
type Proof struct {
	Pod      string `json:"pod"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol"` // "tls" or "postgresql"
	// Proved is true only when the serial is the new one, the chain verifies against
	// the issuer's CA, the name matches and the certificate is valid in time.
	Proved bool      `json:"proved"`
	Serial string    `json:"serial,omitempty"`
	At     time.Time `json:"at,omitzero"`
	Error  string    `json:"error,omitempty"`
}

// TLS is what rotate prepare and rotate prove leave.
type TLS struct {
	Rotations []Rotation `json:"rotations"`
	Skipped   []string   `json:"skipped,omitempty"`
}
