#include "textflag.h"

// func crcShort(crc uint32, p []byte) uint32
TEXT ·crcShort(SB), NOSPLIT, $0-36
	MOVL  crc+0(FP), AX
	MOVQ  p_base+8(FP), SI
	MOVQ  p_len+16(FP), CX

eights:
	CMPQ  CX, $16
	JLT   eight
	CRC32Q (SI), AX
	CRC32Q 8(SI), AX
	ADDQ  $16, SI
	SUBQ  $16, CX
	JMP   eights

eight:
	TESTQ $8, CX
	JZ    four
	CRC32Q (SI), AX
	ADDQ  $8, SI

four:
	TESTQ $4, CX
	JZ    two
	CRC32L (SI), AX
	ADDQ  $4, SI

two:
	TESTQ $2, CX
	JZ    one
	CRC32W (SI), AX
	ADDQ  $2, SI

one:
	TESTQ $1, CX
	JZ    done
	CRC32B (SI), AX

done:
	MOVL  AX, ret+32(FP)
	RET

// func hasCRC32() bool
TEXT ·hasCRC32(SB), NOSPLIT, $0-1
	MOVL  $1, AX
	XORL  CX, CX
	CPUID
	SHRL  $20, CX // SSE4.2
	ANDL  $1, CX
	MOVB  CX, ret+0(FP)
	RET
