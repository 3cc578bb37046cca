// SPDX-License-Identifier: Apache-2.0

// Package work runs programs as a Job of the cluster over claims of a namespace: knowngood's own
// image where data lies that only the cluster can mount, and an application's own check beside
// it. It streams what the programs say to the caller, and hands back what they found.
//
// One object owns all: the Job. Temporary claims belong to it, it has a deadline, and it deletes
// itself a while after it has ended. So whatever happens to the caller, the cluster itself takes
// everything away; and a caller that comes back with the same Job finds it at work and waits for
// it instead of beginning another.
//
// A program of ours tells how it goes on by lines of JSON in its log, and how it ended by a
// Message in its termination message, which the cluster keeps with the pod. Both are read as
// hostile: limited, parsed strictly, shown as one line.
package work
