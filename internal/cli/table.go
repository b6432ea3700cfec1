// SPDX-License-Identifier: Apache-2.0

package cli

// column is one column of a table.
type column struct {
	title string
	right bool
	// max limits the width on a terminal; 0 is no limit. The last column takes
	// what is left of the line.
	max int
}

// cell is printable text with a colour.
type cell struct {
	text   string
	colour colour
}

func text(s string) cell              { return cell{text: s} }
func painted(c colour, s string) cell { return cell{s, c} }

// table lays rows out in columns as wide as their widest cell. On a terminal
// the lines fit its width; elsewhere nothing is cut off.
type table struct {
	columns []column
	rows    [][]cell
	// after has lines that follow a row, uncut.
	after map[int][]string
}

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

// follow adds a line below the last row.
func (t *table) follow(line string) {
	if t.after == nil {
		t.after = map[int][]string{}
	}
	t.after[len(t.rows)-1] = append(t.after[len(t.rows)-1], line)
}

// render appends the table for a terminal of so many columns; 0 is no limit.
func (t *table) render(dst []byte, s screen, width int) []byte {
	widths := t.widths(width > 0)
	head := make([]cell, len(t.columns))
	for i, c := range t.columns {
		head[i] = painted(bold, c.title)
	}
	dst = t.line(dst, s, head, widths, width)
	for i, row := range t.rows {
		dst = t.line(dst, s, row, widths, width)
		for _, l := range t.after[i] {
			dst = append(append(dst, s.fit(l, width)...), '\n')
		}
	}
	return dst
}

func (t *table) widths(limited bool) []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = columns(c.title)
		for _, row := range t.rows {
			widths[i] = max(widths[i], columns(row[i].text))
		}
		if limited && c.max > 0 {
			widths[i] = min(widths[i], max(c.max, columns(c.title)))
		}
	}
	return widths
}

func (t *table) line(dst []byte, s screen, row []cell, widths []int, width int) []byte {
	used := 0
	last := len(row) - 1
	for i, c := range row {
		room := widths[i]
		if i == last && !t.columns[i].right {
			room = 0
			if width > 0 {
				room = max(8, width-used)
			}
		}
		shown := c.text
		if width > 0 {
			shown = s.fit(shown, room)
		}
		pad := room - columns(shown)
		if t.columns[i].right {
			dst = appendSpaces(dst, pad)
			pad = 0
		}
		dst = s.append(dst, c.colour, shown)
		if i < last {
			dst = appendSpaces(dst, pad+2)
			used += room + 2
		}
	}
	return append(dst, '\n')
}
