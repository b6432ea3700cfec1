// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A log is fileMagic and then frames, each with a header of headerLen bytes, all numbers
// little-endian:
//
//	magic u32 | flags u32 | length of payload u32 | CRC-32C of all before and of payload u32
//
// A payload is a run of entries (encode.go). Frames form epochs: what an entry refers to
// is in the same epoch, so that a damaged frame costs no more than the rest of its epoch.
const (
	fileMagic  = "skepwal1"
	frameMagic = 0x4c46_6b53 // "SkFL"
	headerLen  = 16
	// epochStart marks the first frame of an epoch.
	epochStart = 1
	// maxPayload bounds what a damaged length can make a reader allocate. A record is
	// far smaller: an exec has at most 4 KiB of arguments and as much of paths.
	maxPayload = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealFrame fills in the header of a frame whose payload begins at headerLen.
func sealFrame(frame []byte, flags uint32) {
	binary.LittleEndian.PutUint32(frame[0:], frameMagic)
	binary.LittleEndian.PutUint32(frame[4:], flags)
	binary.LittleEndian.PutUint32(frame[8:], uint32(len(frame)-headerLen))
	binary.LittleEndian.PutUint32(frame[12:], checksum(frame[:12], frame[headerLen:]))
}

func checksum(header, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(header, castagnoli), castagnoli, payload)
}

// Damage is what could not be read of a log.
type Damage struct {
	// Bytes of frames that are torn or do not have their checksum.
	Bytes uint64
	// Records whose frame is whole, but which refer to one that is not.
	Records uint64
}

func (d *Damage) any() bool { return d.Bytes+d.Records > 0 }

// frameReader reads the frames of a log one after the other. After a damaged one it goes
// on at the next that is whole and begins an epoch.
type frameReader struct {
	in      *bufio.Reader
	damage  Damage
	good    int64 // bytes up to the end of the last whole frame
	at      int64
	skipped bool // since the last whole frame
}

// errNoLog is the error for a file that is not a log of this format.
var errNoLog = errors.New("not a write-ahead log of this version")

func newFrameReader(r io.Reader) (*frameReader, error) {
	f := &frameReader{in: bufio.NewReaderSize(r, 64<<10)}
	var magic [len(fileMagic)]byte
	if _, err := io.ReadFull(f.in, magic[:]); err != nil || string(magic[:]) != fileMagic {
		return nil, errNoLog
	}
	f.at, f.good = int64(len(magic)), int64(len(magic))
	return f, nil
}

// next returns the next whole frame's payload, which is the caller's, and whether it
// begins an epoch. At the end it returns io.EOF; what is left of a torn frame is damage.
func (f *frameReader) next() (payload []byte, first bool, err error) {
	for {
		header, err := f.in.Peek(headerLen)
		if len(header) < headerLen {
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, false, fmt.Errorf("read log: %w", err)
			}
			f.damage.Bytes += uint64(len(header))
			return nil, false, io.EOF
		}
		length := int(binary.LittleEndian.Uint32(header[8:]))
		if binary.LittleEndian.Uint32(header) != frameMagic || length > maxPayload {
			if err := f.skip(1); err != nil {
				return nil, false, err
			}
			continue
		}
		payload, flags, ok, err := f.frame(header, length)
		if err != nil {
			return nil, false, err
		}
		if ok && (!f.skipped || flags&epochStart != 0) {
			f.skipped = false
			f.good = f.at
			return payload, flags&epochStart != 0, nil
		}
	}
}

// frame tries to read a frame. One that is damaged is passed over byte by byte: its
// length is not to be believed.
func (f *frameReader) frame(header []byte, length int) (payload []byte, flags uint32, ok bool, err error) {
	var kept [headerLen]byte
	copy(kept[:], header)
	whole, err := f.peek(headerLen + length)
	if err != nil {
		return nil, 0, false, err
	}
	if len(whole) < headerLen+length || checksum(kept[:12], whole[headerLen:]) != binary.LittleEndian.Uint32(kept[12:]) {
		return nil, 0, false, f.skip(1)
	}
	flags = binary.LittleEndian.Uint32(kept[4:])
	if f.skipped && flags&epochStart == 0 { // whole, but of a damaged epoch
		return nil, flags, false, f.skip(headerLen + length)
	}
	payload = append([]byte(nil), whole[headerLen:]...)
	_, err = f.in.Discard(headerLen + length)
	f.at += int64(headerLen + length)
	return payload, flags, true, err
}

// peek is Peek with a buffer that is made as large as it must be.
func (f *frameReader) peek(n int) ([]byte, error) {
	if n > f.in.Size() {
		f.in = bufio.NewReaderSize(f.in, n)
	}
	whole, err := f.in.Peek(n)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read log: %w", err)
	}
	return whole, nil
}

func (f *frameReader) skip(n int) error {
	f.skipped = true
	n, err := f.in.Discard(n)
	f.at += int64(n)
	f.damage.Bytes += uint64(n)
	return err
}
