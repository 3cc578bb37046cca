// SPDX-License-Identifier: Apache-2.0

package sarif

import (
	"reflect"
	"testing"
	"unsafe"
)

// TestPackingLosesNothing sets each field of a pending in turn, down to the last one.
func TestPackingLosesNothing(t *testing.T) {
	t.Parallel()
	p := blank()
	if kept := pack(&p); !reflect.DeepEqual(kept.unpack(), p) || kept.whole != nil {
		t.Errorf("blank: %+v", kept)
	}
	fields := 0
	var each func(path string, v reflect.Value)
	each = func(path string, v reflect.Value) {
		if v.Kind() == reflect.Struct {
			for i := range v.NumField() {
				each(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
			return
		}
		fields++
		v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
		before := reflect.ValueOf(v.Interface())
		v.Set(other(v))
		kept := pack(&p)
		if got := kept.unpack(); !reflect.DeepEqual(got, p) {
			t.Errorf("%s is lost", path)
		}
		v.Set(before)
	}
	each("pending", reflect.ValueOf(&p).Elem())
	if fields < 30 {
		t.Errorf("%d fields", fields)
	}
}

// other is a value of the type that no blank pending has.
func other(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.String:
		return reflect.ValueOf("x").Convert(v.Type())
	case reflect.Slice:
		return reflect.MakeSlice(v.Type(), 1, 1)
	case reflect.Array:
		made := reflect.New(v.Type()).Elem()
		made.Index(0).SetUint(1)
		return made
	case reflect.Bool:
		return reflect.ValueOf(true)
	default:
		return reflect.ValueOf(7).Convert(v.Type())
	}
}
