package front

import (
	"errors"
	"fmt"
)

// minTokenLength is denokv's: shorter ones can be guessed.
const minTokenLength = 12

// CheckToken reports what is wrong with an access token. None at all is nothing wrong.
func CheckToken(token string) error {
	if n := len(token); n > 0 && n < minTokenLength {
		return fmt.Errorf("the access token has %d characters; use at least %d", n, minTokenLength)
	}
	for _, char := range token {
		if char <= ' ' || char > '~' {
			return errors.New("the access token has a character that cannot stand in an HTTP header; use printable ASCII without spaces")
		}
	}
	return nil
}
