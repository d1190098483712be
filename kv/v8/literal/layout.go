package literal

import (
	"strings"
	"unicode/utf8"
)

// node is a piece of text that can be spread over lines: a leaf, or a list of items between brackets.
type node struct {
	open, close string // a leaf's text is its open
	items       []node
	width       int  // in characters, in one line
	spaced      bool // { a } rather than [a]
}

const (
	maxWidth  = 80
	indent    = "  "
	maxIndent = 30 // deeper lists stay in one line, so that the text does not grow with the square of the depth
	maxFilled = 8  // characters of items that share lines
)

func leaf(text string) node { return node{open: text, width: utf8.RuneCountInString(text)} }

func list(open, close string, items ...node) node {
	n := node{open: open, close: close, items: items, width: len(open) + len(close)}
	for i, item := range items {
		if i > 0 {
			n.width += len(", ")
		}
		n.width += item.width
	}
	return n
}

func braces(items ...node) node {
	n := list("{", "}", items...)
	if len(items) > 0 {
		n.spaced = true
		n.width += len("  ")
	}
	return n
}

// prefixed returns n with text before it.
func (n node) prefixed(text string) node {
	n.open = text + n.open
	n.width += utf8.RuneCountInString(text)
	return n
}

func (n *node) line(b *strings.Builder) {
	b.WriteString(n.open)
	if n.spaced {
		b.WriteByte(' ')
	}
	for i := range n.items {
		if i > 0 {
			b.WriteString(", ")
		}
		n.items[i].line(b)
	}
	if n.spaced {
		b.WriteByte(' ')
	}
	b.WriteString(n.close)
}

// lines writes n at the given level of indentation, with room for after more characters behind it.
func (n *node) lines(b *strings.Builder, level, after int) {
	if len(n.items) == 0 || level >= maxIndent || level*len(indent)+n.width+after <= maxWidth {
		n.line(b)
		return
	}
	b.WriteString(n.open)
	if n.short() {
		n.fill(b, level+1)
	} else {
		for i := range n.items {
			newLine(b, level+1)
			n.items[i].lines(b, level+1, 1)
			if i < len(n.items)-1 {
				b.WriteByte(',')
			}
		}
	}
	newLine(b, level)
	b.WriteString(n.close)
}

// short reports whether all items are so short that a line for each would waste the screen.
func (n *node) short() bool {
	for i := range n.items {
		if n.items[i].width > maxFilled || n.items[i].items != nil {
			return false
		}
	}
	return true
}

// fill writes as many items into each line as fit.
func (n *node) fill(b *strings.Builder, level int) {
	column := maxWidth
	for i := range n.items {
		item := &n.items[i]
		if column+item.width+len(" ,") > maxWidth {
			newLine(b, level)
			column = level * len(indent)
		} else {
			b.WriteByte(' ')
			column++
		}
		item.line(b)
		column += item.width
		if i < len(n.items)-1 {
			b.WriteByte(',')
			column++
		}
	}
}

func newLine(b *strings.Builder, level int) {
	b.WriteByte('\n')
	for range level {
		b.WriteString(indent)
	}
}
