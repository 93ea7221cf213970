package cephx

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"io"
)

const (
	aesSecretLen = 16
	// aesIV is the same for everybody: equal plaintexts are equal sealed, and a change is
	// not noticed for sure. That is why TypeAES256K exists (CVE-2025-30156).
	aesIV = "cephsageyudagreg"
)

// aesKey is a key of TypeAES: AES-128-CBC, padded as PKCS #7 says.
type aesKey struct {
	common
	block cipher.Block
}

func newAES(c common) *aesKey {
	block, err := aes.NewCipher(c.secret.b)
	if err != nil {
		panic(fmt.Sprintf("cephx: a secret of %d bytes: %v", len(c.secret.b), err)) // NewKey looked at it
	}
	return &aesKey{c, block}
}

// Seal implements Key. Nothing is random.
func (k *aesKey) Seal(dst []byte, _ Usage, plain []byte, _ io.Reader) ([]byte, error) {
	begin := len(dst)
	dst = append(appendHeader(dst), plain...)
	pad := aes.BlockSize - (len(dst)-begin)%aes.BlockSize
	for range pad {
		dst = append(dst, byte(pad))
	}
	cipher.NewCBCEncrypter(k.block, []byte(aesIV)).CryptBlocks(dst[begin:], dst[begin:])
	return dst, nil
}

// Open implements Key. Another key is found out by the padding and the header, which is
// right by chance once in 2^72 times.
func (k *aesKey) Open(dst []byte, _ Usage, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return dst, ErrOpen
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(k.block, []byte(aesIV)).CryptBlocks(plain, sealed)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > aes.BlockSize {
		return dst, ErrOpen
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad {
			return dst, ErrOpen
		}
	}
	body, err := unheaded(plain[:len(plain)-pad])
	if err != nil {
		return dst, err
	}
	return append(dst, body...), nil
}

// Proof implements Key: the challenges are sealed, and the length and the sealed bytes,
// but for the last four, folded.
func (k *aesKey) Proof(server, client uint64) uint64 {
	out, _ := k.Seal(make([]byte, 4, 4+3*aes.BlockSize), 0, challenges(server, client), nil) // cannot fail
	le.PutUint32(out, uint32(len(out)-4))
	return foldU64(out)
}
