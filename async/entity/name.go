package entity

// Type is the kind of an entity (msgr2 spec 1.7).
type Type uint8

// The entity types.
const (
	TypeMon    Type = 1
	TypeMDS    Type = 2
	TypeOSD    Type = 4
	TypeClient Type = 8
	TypeMgr    Type = 0x10
	TypeAuth   Type = 0x20
	TypeAny    Type = 0xff
)

// Name is who an entity is: "osd.3", "mon.0", "client.4123" (Ceph's entity_name_t).
type Name struct {
	Type Type
	Num  int64
}
