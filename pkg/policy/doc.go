// SPDX-License-Identifier: Apache-2.0

// Package policy turns scans into a decision by the rules of a file.
//
// It is pure: the same scans, policy, baseline and time give the same decision, whatever
// order the files came in. Every judgement names the line of the policy that made it.
// Nothing that is not known passes for fine: a scan that is missing, unusable or cut off
// fails whatever the mode, and a finding without a score is judged by its level.
//
// Not here: reading SARIF, finding the baseline, and showing the decision.
package policy
