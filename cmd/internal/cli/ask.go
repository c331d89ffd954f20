package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
)

// errNotConfirmed is returned when what cannot be undone was not confirmed.
var errNotConfirmed = errors.New("nothing was done")

// Confirm asks on the terminal whether to do what cannot be undone, and returns nil for a yes. yes says that it was
// confirmed on the command line. Where there is no terminal to ask on, that is the only way.
func (e *Env) Confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if in, ok := e.In.(*os.File); !ok || !IsTerminal(in) {
		return WithHint(fmt.Errorf("%w: %s", errNotConfirmed, question), "if that is what you want: --yes")
	}
	fmt.Fprintf(e.Err, "%s [y/N] ", question)
	line, _ := bufio.NewReader(e.In).ReadString('\n') // the end of input is a no
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return errNotConfirmed
	}
	return nil
}
