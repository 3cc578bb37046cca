// SPDX-License-Identifier: Apache-2.0

package steps

// All returns every step, in the order in which help and documentation show them.
func All() []Step {
	return []Step{
		&Init{},
		&Release{},
		&Gate{},
		&GateDiff{},
		&Snapshot{},
		&RotatePrepare{},
		&DeployStart{},
		&DeployFinish{},
		&RotateProve{},
		&Report{},
		&History{},
		&Restore{},
		&BackupSave{},
		&BackupList{},
		&BackupRestore{},
		&BackupVerify{},
		&BackupHold{},
		&BackupLink{},
		&BackupRepair{},
		&Prune{},
		&Hold{},
		&KeyInit{},
		&KeyRotate{},
		&KeyShow{},
		&WorkSave{},
		&WorkRestore{},
		&WorkProve{},
		&WorkConclude{},
	}
}
