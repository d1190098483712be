package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagError says in a sentence what pflag has found wrong with a flag.
func flagError(_ *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var bare *pflag.ValueRequiredError
	var bad *pflag.InvalidValueError
	var syntax *pflag.InvalidSyntaxError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		return fmt.Errorf("there is no flag --%s", unknown.GetSpecifiedName())
	case errors.As(err, &unknown) && unknown.GetSpecifiedName() < "A": // a negative number
		return fmt.Errorf(`there is no flag -%s; an argument that begins with "-" comes after "--", as in: -- -%[1]s`, unknown.GetSpecifiedShortnames())
	case errors.As(err, &unknown):
		return fmt.Errorf("there is no flag -%s", unknown.GetSpecifiedName())
	case errors.As(err, &bare):
		return fmt.Errorf("--%s needs a value", bare.GetFlag().Name)
	case errors.As(err, &bad):
		return fmt.Errorf("--%s: %w", bad.GetFlag().Name, ValueError(bad.GetFlag(), bad.GetValue(), bad.Unwrap()))
	case errors.As(err, &syntax):
		return fmt.Errorf("%q is not a flag", syntax.GetSpecifiedFlag())
	}
	return err
}

var number = map[string]bool{"int": true, "int64": true, "uint64": true}

// ValueError says why flag cannot have the value text. err is what flag.Value.Set returned for it.
func ValueError(flag *pflag.Flag, text string, err error) error {
	switch kind := flag.Value.Type(); {
	case number[kind] && errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("%q is too large", text)
	case number[kind]:
		return fmt.Errorf("%q is not a whole number", text)
	case kind == "bool":
		return fmt.Errorf("%q is neither true nor false", text)
	case kind == "duration":
		return fmt.Errorf("%q is not a duration; write a number and a unit, such as 500ms, 30s or 2h", text)
	}
	return err
}

var (
	unknownCommand = regexp.MustCompile(`^unknown command ("(?:[^"\\]|\\.)*") for `)
	exclusiveFlags = regexp.MustCompile(`\[([^\]]+)\] were all set$`)
)

// ArgsError says in a sentence what cobra has found wrong with the arguments of cmd, or with flags that exclude each other.
func ArgsError(cmd *cobra.Command, err error) error {
	text := err.Error()
	if m := unknownCommand.FindStringSubmatch(text); m != nil && cmd.HasAvailableSubCommands() {
		name, _ := strconv.Unquote(m[1])
		if near := cmd.SuggestionsFor(name); len(near) > 0 {
			return fmt.Errorf("there is no command %q; did you mean %s?", cmd.CommandPath()+" "+name, strings.Join(near, " or "))
		}
		return fmt.Errorf("there is no command %q", cmd.CommandPath()+" "+name)
	} else if m != nil || strings.Contains(text, " arg(s), ") {
		return fmt.Errorf("%s; use it as: %s", given(cmd.Flags().NArg()), cmd.UseLine())
	}
	if m := exclusiveFlags.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("--%s exclude each other; use one of them", strings.ReplaceAll(m[1], " ", " and --"))
	}
	return err
}

func given(arguments int) string {
	switch arguments {
	case 0:
		return "an argument is missing"
	case 1:
		return "1 argument does not do"
	}
	return fmt.Sprintf("%d arguments do not do", arguments)
}
