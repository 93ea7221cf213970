package cephx

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
)

const (
	aes256kSecretLen = 32
	confounderLen    = aes.BlockSize
	macLen           = 24 // of HMAC-SHA-384's 48 bytes

	// The last byte of a label for deriving keys (RFC 8009, 5).
	labelEncrypt   = 0xaa
	labelIntegrity = 0x55
)

// aes256k is a key of TypeAES256K. What it seals is
//
//	AES-256-CBC with ciphertext stealing, IV 0, of (confounder 16 | header 9 | plaintext)
//	the first 24 bytes of HMAC-SHA-384 of (IV | that)
//
// under keys that are derived from it for each usage.
type aes256k struct{ common }

// derive is KDF-HMAC-SHA2 of RFC 8009, 3, for a key of n bytes.
func (k *aes256k) derive(u Usage, label byte, n int) []byte {
	h := hmac.New(sha512.New384, k.secret.b)
	in := binary.BigEndian.AppendUint32(nil, 1)
	in = append(binary.BigEndian.AppendUint32(in, uint32(u)), label, 0)
	h.Write(binary.BigEndian.AppendUint32(in, uint32(8*n)))
	return h.Sum(nil)[:n]
}

// cipher is AES under the encryption key of a usage.
func (k *aes256k) cipher(u Usage) cipher.Block {
	block, err := aes.NewCipher(k.derive(u, labelEncrypt, aes256kSecretLen))
	if err != nil {
		panic(fmt.Sprintf("cephx: a derived key of %d bytes: %v", aes256kSecretLen, err))
	}
	return block
}

// mac is over the IV, which is zeros, and the encrypted bytes.
func (k *aes256k) mac(u Usage, encrypted []byte) []byte {
	h := hmac.New(sha512.New384, k.derive(u, labelIntegrity, macLen))
	h.Write(make([]byte, aes.BlockSize))
	h.Write(encrypted)
	return h.Sum(nil)[:macLen]
}

// Seal implements Key; 16 bytes are read from random.
func (k *aes256k) Seal(dst []byte, u Usage, plain []byte, random io.Reader) ([]byte, error) {
	return k.seal(dst, u, append(appendHeader(nil), plain...), random)
}

// Open implements Key.
func (k *aes256k) Open(dst []byte, u Usage, sealed []byte) ([]byte, error) {
	plain, err := k.open(u, sealed)
	if err == nil {
		plain, err = unheaded(plain)
	}
	if err != nil {
		return dst, err
	}
	return append(dst, plain...), nil
}

// seal is RFC 8009 without our header.
func (k *aes256k) seal(dst []byte, u Usage, plain []byte, random io.Reader) ([]byte, error) {
	p := make([]byte, confounderLen, confounderLen+len(plain))
	if _, err := io.ReadFull(random, p); err != nil {
		return dst, fmt.Errorf("cephx: no random bytes to seal with: %w", err)
	}
	p = append(p, plain...)
	encryptCTS(k.cipher(u), p)
	dst = append(dst, p...)
	return append(dst, k.mac(u, p)...), nil
}

// open is the other way round. Nothing is decrypted before the MAC is right.
func (k *aes256k) open(u Usage, sealed []byte) ([]byte, error) {
	n := len(sealed) - macLen
	if n < confounderLen || !hmac.Equal(k.mac(u, sealed[:n]), sealed[n:]) {
		return nil, ErrOpen
	}
	p := append([]byte(nil), sealed[:n]...)
	decryptCTS(k.cipher(u), p)
	return p[confounderLen:], nil
}

// encryptCTS encrypts p in place, one block or more: CBC with an IV of zeros, the last
// two blocks swapped, and what is now the last one cut to p's length (CBC-CS3).
func encryptCTS(b cipher.Block, p []byte) {
	n := len(p)
	if n < aes.BlockSize {
		panic(fmt.Sprintf("cephx: encryptCTS of %d bytes", n))
	}
	whole := append([]byte(nil), p...)
	for len(whole)%aes.BlockSize != 0 {
		whole = append(whole, 0)
	}
	cipher.NewCBCEncrypter(b, make([]byte, aes.BlockSize)).CryptBlocks(whole, whole)
	if n == aes.BlockSize {
		copy(p, whole)
		return
	}
	at := len(whole) - 2*aes.BlockSize
	copy(p, whole[:at])
	copy(p[at:], whole[at+aes.BlockSize:])
	copy(p[at+aes.BlockSize:], whole[at:])
}

// decryptCTS undoes encryptCTS. The last but one block of p is the last one of CBC: when
// it is decrypted, it has the end of the plaintext under what is there of the block
// before it, and behind that what is missing of it.
func decryptCTS(b cipher.Block, p []byte) {
	n := len(p)
	if n < aes.BlockSize {
		panic(fmt.Sprintf("cephx: decryptCTS of %d bytes", n))
	}
	end := (n - 1) / aes.BlockSize * aes.BlockSize // where the last, short block begins
	short := p[end:]
	before := append([]byte(nil), p[:end]...) // what CBC decrypts, but for the stolen end
	var plain []byte
	if end > 0 {
		var d [aes.BlockSize]byte
		b.Decrypt(d[:], p[end-aes.BlockSize:end])
		plain = make([]byte, len(short))
		subtle.XORBytes(plain, d[:], short)
		copy(before[end-aes.BlockSize:], short)
		copy(before[end-aes.BlockSize+len(short):], d[len(short):])
	} else {
		before = append(before, short...)
	}
	cipher.NewCBCDecrypter(b, make([]byte, aes.BlockSize)).CryptBlocks(before, before)
	copy(p[copy(p, before):], plain)
}

// Proof implements Key: the HMAC of the challenges, folded.
func (k *aes256k) Proof(server, client uint64) uint64 {
	h := hmac.New(sha256.New, k.secret.b)
	h.Write(challenges(server, client))
	return foldU64(h.Sum(nil))
}
