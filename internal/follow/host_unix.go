//go:build unix

package follow

import (
	"io/fs"
	"os"
	"os/exec"
	"syscall"
)

var shell = []string{"sh", "-c"}

// sameOwner gives a file the owner and group of another, if there is one.
func sameOwner(f *os.File, other fs.FileInfo) error {
	if other == nil {
		return nil
	}
	owner := other.Sys().(*syscall.Stat_t)
	return f.Chown(int(owner.Uid), int(owner.Gid))
}

// ofItsOwn puts a command into a process group: Ctrl-C does not reach it, and a timeout ends all that it started.
func ofItsOwn(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
}
