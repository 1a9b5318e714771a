package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"

	"github.com/ethereum/go-ethereum/eth/protocols/eth"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"
)

// tree makes of a value what its RLP says, without RLP: lists of lists, numbers, booleans and "0x..." for bytes. What the protocol carries
// as it came (headers, transactions and the like) is {"raw": its encoding}. Python builds its own value of it, and must come to the same bytes.
func tree(value any) (any, error) {
	return treeOf(reflect.ValueOf(value))
}

func hexed(data []byte) string { return "0x" + hex.EncodeToString(data) }

func raw(data []byte) any { return map[string]string{"raw": hexed(data)} }

// content is implemented by rlp.RawList of whatever type.
type content interface{ Content() []byte }

func treeOf(value reflect.Value) (any, error) {
	switch value.Kind() {
	case reflect.Pointer:
		if number, ok := value.Interface().(*big.Int); ok {
			return json.Number(number.String()), nil
		}
		if origin, ok := value.Interface().(*eth.HashOrNumber); ok {
			return origin2tree(*origin), nil
		}
		return treeOf(value.Elem())
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		return value.Uint(), nil
	case reflect.Bool:
		return value.Bool(), nil
	}
	switch known := value.Interface().(type) {
	case uint256.Int:
		return json.Number(known.Dec()), nil
	case eth.HashOrNumber:
		return origin2tree(known), nil
	case rlp.RawValue:
		return raw(known), nil
	}
	if list, ok := addressable(value).(content); ok {
		items := []any{}
		for rest := list.Content(); len(rest) > 0; {
			_, _, after, err := rlp.Split(rest)
			if err != nil {
				return nil, err
			}
			items = append(items, raw(rest[:len(rest)-len(after)]))
			rest = after
		}
		return items, nil
	}
	switch value.Kind() {
	case reflect.Array, reflect.Slice:
		if value.Type().Elem().Kind() == reflect.Uint8 {
			data := make([]byte, value.Len())
			reflect.Copy(reflect.ValueOf(data), value)
			return hexed(data), nil
		}
		items := []any{}
		for index := range value.Len() {
			item, err := treeOf(value.Index(index))
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		return items, nil
	case reflect.Struct:
		items := []any{}
		for index := range value.NumField() {
			item, err := treeOf(value.Field(index))
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		return items, nil
	}
	return nil, fmt.Errorf("no tree of a %s", value.Type())
}

// addressable gives a pointer to a copy, since the methods of lists want one.
func addressable(value reflect.Value) any {
	copied := reflect.New(value.Type())
	copied.Elem().Set(value)
	return copied.Interface()
}

func origin2tree(origin eth.HashOrNumber) any {
	if origin.Number == 0 && origin.Hash != [32]byte{} {
		return hexed(origin.Hash[:])
	}
	return origin.Number
}
