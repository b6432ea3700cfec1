// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"slices"
	"strings"
)

// A name (of an option, a variable, a header, a field) is taken apart at "-", "_", "." and
// where a capital follows a small letter, and judged by its parts.
var (
	// secretParts make a name a secret's.
	secretParts = []string{
		"password", "passwd", "passphrase", "passcode", "passin", "passout", "pass", "pwd",
		"secret", "secrets", "token", "credential", "credentials", "cred", "creds",
		"authorization", "bearer", "cookie", "signature", "sig",
	}
	// secretEnds do so at the end of a part: PGPASSWORD, authtoken.
	secretEnds = []string{"password", "passwd", "passphrase", "secret", "token", "apikey", "pwd"}
	// keyOwners make the "key" behind them one: API_KEY, --secret-key.
	keyOwners = []string{
		"api", "access", "private", "secret", "auth", "encryption", "signing", "account", "master", "storage", "shared", "app",
	}
	// harmlessEnds say that the value is about the secret and not the secret: --token-file.
	harmlessEnds = []string{
		"file", "path", "dir", "stdin", "fd", "type", "ttl", "len", "length", "size", "policy", "prompt", "env", "name", "id",
		"url", "uri", "endpoint", "timeout", "expiry", "expires", "age", "count", "limit", "max", "min", "format", "version",
		"mode", "method",
	}
	// harmlessStarts say that there is no value: --no-password, --ask-pass.
	harmlessStarts = []string{"no", "ask", "prompt"}
)

// triggerParts are words of which every name that is a secret's holds one.
var triggerParts = []string{"pass", "pwd", "secret", "token", "cred", "auth", "bearer", "cookie", "sig", "key"}

// maxName bounds what is taken for a name.
const maxName = 128

// secretName tells whether the value of something with this name is a secret.
func (r *Rules) secretName(name []byte) bool {
	if len(name) == 0 || len(name) > maxName {
		return false
	}
	if len(r.names) > 0 && r.ownName(string(name)) {
		return true
	}
	return r.defaults && secretByDefault(name)
}

// ownName tells whether a name is one that was configured, or has it as a part.
func (r *Rules) ownName(name string) bool {
	whole := normal(name)
	if r.names[whole] {
		return true
	}
	return slices.ContainsFunc(strings.Split(whole, "_"), func(part string) bool { return r.names[part] })
}

func secretByDefault(name []byte) bool {
	parts := partsOf(name)
	if len(parts) == 0 {
		return false
	}
	first, last := parts[0], parts[len(parts)-1]
	if slices.Contains(harmlessEnds, last) || slices.Contains(harmlessStarts, first) || isWorkingDirectory(name) {
		return false
	}
	for i, part := range parts {
		if slices.Contains(secretParts, part) || endsInSecret(part) {
			return true
		}
		if part == "key" && i > 0 && slices.Contains(keyOwners, parts[i-1]) {
			return true
		}
	}
	return len(parts) == 1 && first == "auth" // --auth user:password, _auth of npm
}

func endsInSecret(part string) bool {
	return slices.ContainsFunc(secretEnds, func(end string) bool { return strings.HasSuffix(part, end) })
}

// isWorkingDirectory: PWD means that to every shell, and a password to some databases.
func isWorkingDirectory(name []byte) bool {
	return bytes.Equal(name, []byte("PWD")) || bytes.Equal(name, []byte("OLDPWD"))
}

// partsOf takes a name apart, into lower case.
func partsOf(name []byte) (parts []string) {
	start := 0
	for i, c := range name {
		switch {
		case c == '-' || c == '_' || c == '.':
			parts = appendPart(parts, name[start:i])
			start = i + 1
		case i > start && isUpper(c) && isLower(name[i-1]):
			parts = appendPart(parts, name[start:i])
			start = i
		}
	}
	return appendPart(parts, name[start:])
}

func appendPart(parts []string, part []byte) []string {
	if len(part) == 0 {
		return parts
	}
	return append(parts, strings.ToLower(string(part)))
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isLower(c byte) bool { return 'a' <= c && c <= 'z' }

func isNameByte(c byte) bool {
	return isUpper(c) || isLower(c) || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
}
