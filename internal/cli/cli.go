// Package cli has what the command lines of all programs share: help that fits a terminal, errors that are sentences, and loggers.
package cli

import (
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// Width is how many columns help takes at most.
const Width = 100

// Prepare makes the help of root and of all commands below it fit Width, and the errors about their flags sentences.
func Prepare(root *cobra.Command) {
	root.SetFlagErrorFunc(flagError)
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "FlagUsages |", "FlagUsagesWrapped 100 |"))
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		text := cmd.Long
		if text == "" {
			text = cmd.Short
		}
		io.WriteString(cmd.OutOrStdout(), Fill(text)+"\n\n"+cmd.UsageString())
	})
}

// Fill breaks the lines of text anew so that they fit Width. Lines that begin with a space stay as they are.
func Fill(text string) string {
	var lines []string
	open := false // the last line can be gone on with
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		if line == "" || line[0] == ' ' {
			lines, open = append(lines, line), false
			continue
		}
		for word := range strings.FieldsSeq(line) {
			last := len(lines) - 1
			if open && utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(word) <= Width {
				lines[last] += " " + word
			} else {
				lines, open = append(lines, word), true
			}
		}
	}
	return strings.Join(lines, "\n")
}
