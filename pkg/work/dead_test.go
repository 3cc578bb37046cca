// SPDX-License-Identifier: Apache-2.0

package work_test

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

// dead makes the requests of a caller fail by which it would clean up once it has died. It stays
// dead for one request: the next caller lives.
func dead(dying context.Context) clienttesting.ReactionFunc {
	spent := false
	return func(clienttesting.Action) (bool, runtime.Object, error) {
		if dying.Err() == nil || spent {
			return false, nil, nil
		}
		spent = true
		return true, nil, errors.New("the caller is dead")
	}
}
