// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A log is fileMagic, a salt u32, and then frames, each with a header of headerLen bytes,
// all numbers little-endian:
//
//	magic u32 | flags u32 | length of payload u32 | CRC-32C of salt, all before and payload u32
//
// The salt is random and nobody but the agent can read it. Behind a damaged frame readers
// look for the next one at every byte, also in what was its payload, which may be the
// arguments of any user's process: who does not know the salt cannot make a frame there.
//
// A payload is a run of entries (encode.go). Frames form epochs: what an entry refers to
// is in the same epoch, so that a damaged frame costs no more than the rest of its epoch.
const (
	fileMagic  = "skepwal2"
	fileHeader = len(fileMagic) + 4
	frameMagic = 0x4c46_6b53 // "SkFL"
	headerLen  = 16
	// epochStart marks the first frame of an epoch.
	epochStart = 1
	// maxPayload bounds what a damaged length can make a reader allocate. A record is
	// far smaller: an exec has at most 4 KiB of arguments and as much of paths.
	maxPayload = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// newFileHeader is what a log begins with.
func newFileHeader(salt uint32) []byte {
	return binary.LittleEndian.AppendUint32([]byte(fileMagic), salt)
}

// saltOf reads the header of a log.
func saltOf(header []byte) (salt uint32, err error) {
	if len(header) < fileHeader || string(header[:len(fileMagic)]) != fileMagic {
		return 0, errNoLog
	}
	return binary.LittleEndian.Uint32(header[len(fileMagic):]), nil
}

// sealFrame fills in the header of a frame whose payload begins at headerLen.
func sealFrame(frame []byte, flags, salt uint32) {
	binary.LittleEndian.PutUint32(frame[0:], frameMagic)
	binary.LittleEndian.PutUint32(frame[4:], flags)
	binary.LittleEndian.PutUint32(frame[8:], uint32(len(frame)-headerLen))
	binary.LittleEndian.PutUint32(frame[12:], checksum(salt, frame[:12], frame[headerLen:]))
}

func checksum(salt uint32, header, payload []byte) uint32 {
	return crc32.Update(crc32.Update(salt, castagnoli, header), castagnoli, payload)
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
	in      io.Reader // nil once all of it is in the window
	window  []byte    // read and not yet passed; its memory is not used again
	salt    uint32
	damage  Damage
	good    int64 // bytes up to the end of the last whole frame
	at      int64
	skipped bool // since the last whole frame
}

// errNoLog is the error for a file that is not a log of this format.
var errNoLog = errors.New("not a write-ahead log of this version")

// newFrameReader reads a log bit by bit.
func newFrameReader(r io.Reader) (*frameReader, error) {
	f := &frameReader{in: r}
	return f, f.begin()
}

// newFrames reads a log that is in memory; payloads are parts of it.
func newFrames(log []byte) (*frameReader, error) {
	f := &frameReader{window: log}
	return f, f.begin()
}

func (f *frameReader) begin() error {
	header, err := f.peek(fileHeader)
	if err != nil {
		return err
	}
	if f.salt, err = saltOf(header); err != nil {
		return err
	}
	f.pass(fileHeader)
	f.good = f.at
	return nil
}

// next returns the next whole frame's payload, which is the caller's, and whether it
// begins an epoch. At the end it returns io.EOF; what is left of a torn frame is damage.
func (f *frameReader) next() (payload []byte, first bool, err error) {
	for {
		header, err := f.peek(headerLen)
		if err != nil {
			return nil, false, err
		}
		if len(header) < headerLen {
			f.skip(len(header))
			return nil, false, io.EOF
		}
		length := int(binary.LittleEndian.Uint32(header[8:]))
		if binary.LittleEndian.Uint32(header) != frameMagic || length > maxPayload {
			f.skip(1)
			continue
		}
		frame, err := f.peek(headerLen + length)
		if err != nil {
			return nil, false, err
		}
		// The length of a frame that is damaged is not to be believed.
		if len(frame) < headerLen+length || checksum(f.salt, frame[:12], frame[headerLen:]) != binary.LittleEndian.Uint32(frame[12:]) {
			f.skip(1)
			continue
		}
		first := binary.LittleEndian.Uint32(frame[4:])&epochStart != 0
		if f.skipped && !first { // whole, but of a damaged epoch
			f.skip(len(frame))
			continue
		}
		f.pass(len(frame))
		f.skipped, f.good = false, f.at
		return frame[headerLen:], first, nil
	}
}

// peek returns the next n bytes, fewer at the end of the log.
func (f *frameReader) peek(n int) ([]byte, error) {
	if len(f.window) < n && f.in != nil {
		f.window = append(make([]byte, 0, max(n, 256<<10)), f.window...)
		free := f.window[len(f.window):cap(f.window)]
		got, err := io.ReadFull(f.in, free)
		f.window = f.window[:len(f.window)+got]
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			f.in = nil
		} else if err != nil {
			return nil, fmt.Errorf("read log: %w", err)
		}
	}
	return f.window[:min(n, len(f.window))], nil
}

func (f *frameReader) pass(n int) {
	f.window = f.window[n:]
	f.at += int64(n)
}

// skip passes over what is damaged.
func (f *frameReader) skip(n int) {
	f.pass(n)
	f.skipped = true
	f.damage.Bytes += uint64(n)
}
