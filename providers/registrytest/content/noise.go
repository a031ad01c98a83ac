package content

import (
	"encoding/binary"
	"hash/fnv"
	"io"
	"math/rand/v2"
)

// block is the period of a noise, in bytes.
const block = 64 << 10

// A noise is bytes without end that depend on a name: one random block over and
// over, each time with its number xored into 8 of every 512 bytes, so that no two
// blocks are equal and any offset costs the same. Safe for concurrent use.
type noise struct {
	base [block]byte
	size int64
}

func newNoise(name string, size int64) *noise {
	sum := fnv.New64a()
	_, _ = io.WriteString(sum, name)
	random := rand.New(rand.NewPCG(sum.Sum64(), 0x7472616e73686970))
	n := &noise{size: size}
	for i := 0; i < block; i += 8 {
		binary.LittleEndian.PutUint64(n.base[i:], random.Uint64())
	}
	return n
}

// ReadAt fills p with the bytes from off on, up to the size.
func (n *noise) ReadAt(p []byte, off int64) (int, error) {
	if off >= n.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > n.size-off
	if short {
		p = p[:n.size-off]
	}
	for read := 0; read < len(p); {
		at := off + int64(read)
		number, within := uint64(at/block), int(at%block)
		c := copy(p[read:], n.base[within:])
		stamp(p[read:read+c], within, number)
		read += c
	}
	if short {
		return len(p), io.EOF
	}
	return len(p), nil
}

// stamp xors number into the first 8 bytes of every 512 of a block, of which p
// is the part that starts at within.
func stamp(p []byte, within int, number uint64) {
	var mark [8]byte
	binary.LittleEndian.PutUint64(mark[:], number)
	for start := within / 512 * 512; start < within+len(p); start += 512 {
		for i, m := range mark {
			if at := start + i - within; at >= 0 && at < len(p) {
				p[at] ^= m
			}
		}
	}
}
