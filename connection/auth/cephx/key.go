package cephx

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/asyncmsgr/asyncmsgr/async/denc"
)

var le = binary.LittleEndian

// ErrOpen: sealed bytes do not open. Either they were sealed with another key, or for
// another usage, or they were changed; which of it cannot be known.
var ErrOpen = errors.New("cephx: does not open with this key")

// ErrKeyType: a key of a type that is not known here.
var ErrKeyType = errors.New("cephx: unknown type of key")

// KeyType says how a key seals. The numbers are those on the wire.
type KeyType uint16

// The types of keys.
const (
	// TypeAES is AES-128-CBC with a fixed IV and no authentication: all of Ceph up to 19.
	TypeAES KeyType = 1
	// TypeAES256K is aes256-cts-hmac-sha384-192 of RFC 8009: Ceph 20 and later.
	TypeAES256K KeyType = 2
)

// String is "aes" or "aes256k", as Ceph names them, or "type 7".
func (t KeyType) String() string {
	switch t {
	case TypeAES:
		return "aes"
	case TypeAES256K:
		return "aes256k"
	}
	return fmt.Sprintf("type %d", uint16(t))
}

// Usage says what something is sealed for, so that it cannot be taken for something
// else. TypeAES does not look at it.
type Usage uint32

// The usages (docs/PROTOCOL.md 9.3), with the key that seals each.
const (
	UsageConnectionSecret   Usage = 3  // in AUTH_DONE; the new session key
	UsageServiceTicket      Usage = 4  // a ServiceTicket; the entity's key, or the session key with AUTH
	UsageTicketBlob         Usage = 5  // a TicketBlob that is sealed; the session key before
	UsageAuthorize          Usage = 16 // an Authorize; the session key with the service
	UsageAuthorizeChallenge Usage = 17 // an AuthorizeChallenge; the same
	UsageAuthorizeReply     Usage = 18 // an AuthorizeReply; the same
	UsageRotating           Usage = 32 // rotating secrets; the entity's key
	UsageTicketInfo         Usage = 48 // a TicketInfo; the service's rotating secret
)

// Key is a secret key. What it seals begins with a header of 9 bytes (docs/PROTOCOL.md 2.2),
// which Seal puts before the plaintext and Open checks and takes away. A Key is
// immutable; any goroutine may use it.
type Key interface {
	// Type is how it seals.
	Type() KeyType
	// Seal appends plain, sealed, to dst. random is read for what is random: 16 bytes
	// for TypeAES256K, nothing for TypeAES. An error is that of random.
	Seal(dst []byte, u Usage, plain []byte, random io.Reader) ([]byte, error)
	// Open appends what was sealed to dst. An error is ErrOpen, and dst is as it was.
	Open(dst []byte, u Usage, sealed []byte) ([]byte, error)
	// Proof is what shows a monitor that one has the key, given both challenges.
	Proof(server, client uint64) uint64
	// Sign is the HMAC-SHA256 of AUTH_SIGNATURE over the parts one after the other.
	Sign(parts ...[]byte) [32]byte
	// Append appends the key as keyrings and tickets have it: the secret is in it.
	Append(dst []byte) []byte
	// Format prints the type alone, whatever the verb.
	Format(s fmt.State, verb rune)
}

// NewKey returns a key of that type: 16 bytes of secret for TypeAES, 32 for TypeAES256K.
// It keeps a copy of secret.
func NewKey(t KeyType, secret []byte) (Key, error) { return newKey(t, secret, 0) }

func newKey(t KeyType, secret []byte, created uint64) (Key, error) {
	want := secretLen(t)
	if want == 0 {
		return nil, fmt.Errorf("%w: %d", ErrKeyType, uint16(t))
	}
	if len(secret) != want {
		return nil, fmt.Errorf("cephx: a key of %v with %d bytes, want %d", t, len(secret), want)
	}
	c := common{t, &hidden{append([]byte(nil), secret...)}, created}
	if t == TypeAES {
		return newAES(c), nil
	}
	return &aes256k{c}, nil
}

// secretLen is how long the secret of a type of key is, in bytes; 0: there is no such type.
func secretLen(t KeyType) int {
	switch t {
	case TypeAES:
		return aesSecretLen
	case TypeAES256K:
		return aes256kSecretLen
	}
	return 0
}

// ParseKey reads a key as a keyring has it, in base64.
func ParseKey(text string) (Key, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("cephx: a key that is not base64") // the error has some of it
	}
	r := denc.NewReader(raw)
	k := ConsumeKey(&r)
	switch err := r.End(); {
	case errors.Is(err, ErrKeyType):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("cephx: a key that cannot be read: %w", err)
	}
	return k, nil
}

// secretMax bounds the secret of a key, of whatever type it is.
const secretMax = 1 << 10

// ConsumeKey consumes a key (docs/PROTOCOL.md 2.2: u16 type, utime created, u16 length,
// secret); nil if r fails, of a type that is not known with ErrKeyType.
func ConsumeKey(r *denc.Reader) Key {
	t := KeyType(r.U16())
	created := r.U64()
	n := int(r.U16())
	if n > secretMax {
		r.Fail(fmt.Errorf("%w: a secret of %d bytes", denc.ErrValue, n))
	}
	secret := r.Bytes(n)
	if r.Err() != nil {
		return nil
	}
	k, err := newKey(t, secret, created)
	if err != nil {
		r.Fail(err)
		return nil
	}
	return k
}

// common is what the keys of all types have.
type common struct {
	typ     KeyType
	secret  *hidden
	created uint64 // the bytes of its utime, which is of no use but to be written again
}

// hidden is behind a pointer, because package fmt prints what is in a struct's fields,
// however deep, when a verb does not fit, but does not follow pointers there.
type hidden struct{ b []byte }

func (k *common) Type() KeyType { return k.typ }

func (k *common) Append(dst []byte) []byte {
	dst = le.AppendUint16(dst, uint16(k.typ))
	dst = le.AppendUint64(dst, k.created)
	dst = le.AppendUint16(dst, uint16(len(k.secret.b)))
	return append(dst, k.secret.b...)
}

func (k *common) Sign(parts ...[]byte) (sum [32]byte) {
	h := hmac.New(sha256.New, k.secret.b)
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

func (k *common) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "(a key of %v)", k.typ) }

// The header of all that is sealed: u8 version, u64 magic.
const (
	headerLen     = 9
	headerVersion = 1
	headerMagic   = 0xff009cad8826aa55
)

func appendHeader(dst []byte) []byte {
	return le.AppendUint64(append(dst, headerVersion), headerMagic)
}

// unheaded is what follows the header, or ErrOpen.
func unheaded(plain []byte) ([]byte, error) {
	if len(plain) < headerLen || plain[0] != headerVersion || le.Uint64(plain[1:]) != headerMagic {
		return nil, ErrOpen
	}
	return plain[headerLen:], nil
}

// foldU64 is the XOR of the first four little-endian u64 of p.
func foldU64(p []byte) (x uint64) {
	for i := range 4 {
		x ^= le.Uint64(p[8*i:])
	}
	return x
}

// challenges are both of them as they are sealed and signed for a Proof.
func challenges(server, client uint64) []byte {
	return le.AppendUint64(le.AppendUint64(nil, server), client)
}
