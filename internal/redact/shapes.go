// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"strings"
)

// shapes are secrets that are known by how they begin, wherever they are.
var shapes = []struct {
	begin string
	// min is how many bytes of a token follow at least; fewer are a word that begins alike.
	min int
}{
	{"ghp_", 16}, {"gho_", 16}, {"ghu_", 16}, {"ghs_", 16}, {"github_pat_", 16}, // GitHub
	{"glpat-", 16},                              // GitLab
	{"xoxb-", 16}, {"xoxp-", 16}, {"xapp-", 16}, // Slack
	{"sk_live_", 16}, {"rk_live_", 16}, // Stripe
	{"npm_", 30},  // npm
	{"pypi-", 30}, // PyPI
	{"hf_", 30},   // Hugging Face
	{"AIza", 30},  // Google
	{"eyJ", 24},   // JSON Web Tokens: {" in base64
}

func isTokenByte(c byte) bool {
	return isNameByte(c) || c == '+' || c == '/' || c == '=' || c == '~'
}

// shaped adds the secrets of a text that are known by their shape.
func (s *scan) shaped(from, to int) {
	for _, shape := range shapes {
		begin := []byte(shape.begin)
		for at := from; ; {
			i := bytes.Index(s.text[at:to], begin)
			if i < 0 {
				break
			}
			start := at + i + len(begin)
			end := start
			for end < to && isTokenByte(s.text[end]) {
				end++
			}
			if end-start >= shape.min && (at+i == 0 || !isNameByte(s.text[at+i-1])) {
				s.add(start, end)
			}
			at = end
		}
	}
	s.privateKeys(from, to)
}

var (
	pemBegin = []byte("-----BEGIN ")
	pemKey   = []byte("PRIVATE KEY-----")
	pemEnd   = []byte("-----END ")
)

// privateKeys adds the bodies of PEM blocks that are private keys.
func (s *scan) privateKeys(from, to int) {
	for at := from; ; {
		i := bytes.Index(s.text[at:to], pemBegin)
		if i < 0 {
			return
		}
		at += i + len(pemBegin)
		label := s.text[at:min(at+64, to)]
		k := bytes.Index(label, pemKey)
		if k < 0 {
			continue
		}
		at += k + len(pemKey)
		end := bytes.Index(s.text[at:to], pemEnd)
		if end < 0 {
			end = to - at
		}
		s.add(at, at+end)
		at += end
	}
}

// defaultTriggers are the words of which one is in every command line that a default rule
// changes.
func defaultTriggers() []string {
	words := append([]string{"://", " //", string(pemBegin)}, triggerParts...) // a NUL counts as a blank
	for _, shape := range shapes {
		words = append(words, shape.begin)
	}
	for _, c := range commands {
		for _, name := range c.names {
			name = strings.TrimSuffix(name, "*")
			if len(name) < gram {
				name += " " // which is also the NUL behind an argument: they fold to one
			}
			words = append(words, name)
		}
	}
	return words
}
