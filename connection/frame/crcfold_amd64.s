#include "textflag.h"

// Constants to fold a 128-bit lane over D bits: x^(D+32) and x^(D-32) modulo the
// polynomial of crc32c, reflected and shifted left by one, for its lower and its
// upper half. crc_test.go computes them anew.
DATA fold2048<>+0(SB)/8, $0x0dcb17aa4
DATA fold2048<>+8(SB)/8, $0x0b9e02b86
GLOBL fold2048<>(SB), RODATA|NOPTR, $16

DATA fold512<>+0(SB)/8, $0x0740eef02
DATA fold512<>+8(SB)/8, $0x09e4addf8
GLOBL fold512<>(SB), RODATA|NOPTR, $16

// A lane each for 384, 256, 128 bits, and none for the last.
DATA foldLanes<>+0(SB)/8, $0x01c291d04
DATA foldLanes<>+8(SB)/8, $0x1d82c63da
DATA foldLanes<>+16(SB)/8, $0x1384aa63a
DATA foldLanes<>+24(SB)/8, $0x0ba4fc28e
DATA foldLanes<>+32(SB)/8, $0x0f20c0dfe
DATA foldLanes<>+40(SB)/8, $0x14cd00bd6
DATA foldLanes<>+48(SB)/8, $0
DATA foldLanes<>+56(SB)/8, $0
GLOBL foldLanes<>(SB), RODATA|NOPTR, $64

// func crcFold(crc uint32, p []byte) uint32
TEXT ·crcFold(SB), NOSPLIT, $0-36
	MOVL crc+0(FP), AX
	MOVQ p_base+8(FP), SI
	MOVQ p_len+16(FP), CX

	VMOVDQU64 0(SI), Z0
	VMOVDQU64 64(SI), Z1
	VMOVDQU64 128(SI), Z2
	VMOVDQU64 192(SI), Z3
	VMOVD AX, X4
	VPXORQ Z4, Z0, Z0
	ADDQ $256, SI
	SUBQ $256, CX
	VBROADCASTI32X4 fold2048<>(SB), Z8
	CMPQ CX, $256
	JB   join

four:
	VPCLMULQDQ $0x00, Z8, Z0, Z4
	VPCLMULQDQ $0x00, Z8, Z1, Z5
	VPCLMULQDQ $0x00, Z8, Z2, Z6
	VPCLMULQDQ $0x00, Z8, Z3, Z7
	VPCLMULQDQ $0x11, Z8, Z0, Z0
	VPCLMULQDQ $0x11, Z8, Z1, Z1
	VPCLMULQDQ $0x11, Z8, Z2, Z2
	VPCLMULQDQ $0x11, Z8, Z3, Z3
	VPTERNLOGQ $0x96, 0(SI), Z4, Z0
	VPTERNLOGQ $0x96, 64(SI), Z5, Z1
	VPTERNLOGQ $0x96, 128(SI), Z6, Z2
	VPTERNLOGQ $0x96, 192(SI), Z7, Z3
	ADDQ $256, SI
	SUBQ $256, CX
	CMPQ CX, $256
	JAE  four

join:
	VBROADCASTI32X4 fold512<>(SB), Z9
	VPCLMULQDQ $0x00, Z9, Z0, Z4
	VPCLMULQDQ $0x11, Z9, Z0, Z0
	VPTERNLOGQ $0x96, Z4, Z0, Z1
	VPCLMULQDQ $0x00, Z9, Z1, Z4
	VPCLMULQDQ $0x11, Z9, Z1, Z1
	VPTERNLOGQ $0x96, Z4, Z1, Z2
	VPCLMULQDQ $0x00, Z9, Z2, Z4
	VPCLMULQDQ $0x11, Z9, Z2, Z2
	VPTERNLOGQ $0x96, Z4, Z2, Z3
	CMPQ CX, $64
	JB   lanes

one:
	VPCLMULQDQ $0x00, Z9, Z3, Z4
	VPCLMULQDQ $0x11, Z9, Z3, Z3
	VPTERNLOGQ $0x96, 0(SI), Z4, Z3
	ADDQ $64, SI
	SUBQ $64, CX
	CMPQ CX, $64
	JAE  one

lanes:
	VMOVDQU64 foldLanes<>(SB), Z9
	VPCLMULQDQ $0x00, Z9, Z3, Z4
	VPCLMULQDQ $0x11, Z9, Z3, Z5
	VPXORQ Z5, Z4, Z4
	VEXTRACTI64X4 $1, Z4, Y5
	VPXORQ Y5, Y4, Y4
	VEXTRACTI32X4 $1, Y4, X5
	VPXORQ X5, X4, X4
	VEXTRACTI32X4 $3, Z3, X5
	VPXORQ X5, X4, X4
	VMOVQ X4, R8
	VPEXTRQ $1, X4, R9
	VZEROUPPER
	XORL AX, AX
	CRC32Q R8, AX
	CRC32Q R9, AX
	MOVL AX, ret+32(FP)
	RET

// func hasFold() bool
TEXT ·hasFold(SB), NOSPLIT, $0-1
	MOVB $0, ret+0(FP)
	XORL AX, AX
	XORL CX, CX
	CPUID
	CMPL AX, $7
	JB   no
	MOVL $1, AX
	XORL CX, CX
	CPUID
	ANDL $0x08100000, CX // OSXSAVE, SSE4.2
	CMPL CX, $0x08100000
	JNE  no
	XORL CX, CX
	XGETBV
	ANDL $0xe6, AX // the system saves XMM, YMM, opmask, ZMM
	CMPL AX, $0xe6
	JNE  no
	MOVL $7, AX
	XORL CX, CX
	CPUID
	ANDL $0x80010000, BX // AVX512F, AVX512VL
	CMPL BX, $0x80010000
	JNE  no
	TESTL $0x400, CX // VPCLMULQDQ
	JZ   no
	MOVB $1, ret+0(FP)

no:
	RET
