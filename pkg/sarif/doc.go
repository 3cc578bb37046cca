// SPDX-License-Identifier: Apache-2.0

// Package sarif turns SARIF 2.1.0 bytes into scans, and scans back into SARIF.
//
// Reading is one strict pass: a duplicate key, invalid UTF-8 or a file that ends early is an
// error that names the byte and the JSON pointer, and then nothing of the file counts. What
// tools get wrong in places that decide nothing is tolerated, counted and noted on the scan.
// Memory is bounded by the findings kept, so rules may stand after the results that use them.
//
// Secrets that a tool found do not leave the package: snippets are never kept, and text that
// repeats a secret is masked.
//
// The package decides nothing: whether a finding blocks is a matter of a policy.
package sarif
