package follow

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"
)

// patience is the longest time that a command may take.
const patience = 10 * time.Minute

// shell runs a command in a shell, if there is one. Its output counts only if it fails.
func (r *run) shell(command string) error {
	if command == "" {
		return nil
	}
	before := r.output.Len()
	err := r.execute(shell[0], append(slices.Clone(shell[1:]), command)...)
	if err == nil {
		r.output.Truncate(before)
	}
	return err
}

// execute runs a program to its end, even if cfsg is told to stop meanwhile.
func (r *run) execute(program string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, program, args...)
	command.Stdout, command.Stderr = &r.output, &r.output
	command.WaitDelay = 5 * time.Second // in case it starts a server that keeps the output open
	ofItsOwn(command)
	err := command.Run()
	r.stepped()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("not done after %s", patience)
	}
	return fmt.Errorf("%s: %w", args[len(args)-1], err)
}
