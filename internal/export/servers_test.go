package export

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Each server takes its export, where the comment says to put it, and refuses one that is spoilt.
func TestServersTakeThem(t *testing.T) {
	cases := []struct {
		format string
		config string // FILE stands for the export, DIR for a folder of its own
		check  []string
	}{
		{"nginx", `
			pid DIR/pid; error_log stderr; events {}
			http {
				access_log off;
				client_body_temp_path DIR/b; proxy_temp_path DIR/p; fastcgi_temp_path DIR/f; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;
				include FILE;
				server { listen 127.0.0.1:8080; if ($cloudfront = 0) { return 403; } }
			}`, []string{"nginx", "-t", "-e", "stderr", "-c", "CONFIG"}},
		{"apache", `
			ServerRoot DIR
			PidFile DIR/pid
			ErrorLog DIR/log
			LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
			LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
			LoadModule authz_host_module /usr/lib/apache2/modules/mod_authz_host.so
			ServerName localhost
			Listen 127.0.0.1:8080
			<Location "/">
				Include FILE
			</Location>`, []string{"apache2", "-t", "-f", "CONFIG"}},
		{"haproxy", `
			defaults
				mode http
				timeout connect 1s
				timeout client 1s
				timeout server 1s
			frontend web
				bind 127.0.0.1:8080
				tcp-request connection reject unless { src -f FILE }`, []string{"haproxy", "-c", "-f", "CONFIG"}},
		{"caddy", "import FILE\n:8080 {\n\timport cloudfront\n}", []string{"caddy", "validate", "--adapter", "caddyfile", "--config", "CONFIG"}},
	}
	for _, c := range cases {
		t.Run(c.format, func(t *testing.T) {
			program, err := exec.LookPath(c.check[0])
			if err != nil {
				t.Skipf("%s is not installed", c.check[0])
			}
			good := write(t, c.format, sample())
			check := func(export string) (string, error) {
				dir := t.TempDir()
				file, config := filepath.Join(dir, "export"), filepath.Join(dir, "config")
				text := strings.NewReplacer("FILE", file, "DIR", dir).Replace(c.config) + "\n"
				for name, text := range map[string]string{file: export, config: text} {
					if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				cmd := exec.CommandContext(t.Context(), program, strings.Split(strings.Join(c.check[1:], " "), " ")...)
				for i, arg := range cmd.Args {
					cmd.Args[i] = strings.Replace(arg, "CONFIG", config, 1)
				}
				cmd.Env = append(os.Environ(), "HOME="+dir)
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			if out, err := check(good); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			spoilt := strings.ReplaceAll(good, "18.64.0.0/14", "18.64.0.0/140")
			if out, err := check(spoilt); err == nil {
				t.Errorf("a range that is none is taken: %s", out)
			}
		})
	}
}

// Terraform reads the export and finds both lists in it, and does what is printed.
func TestTerraform(t *testing.T) {
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not installed")
	}
	dir := t.TempDir()
	file, text := filepath.Join(dir, "cloudfront.tf"), write(t, "terraform", sample())
	for name, text := range map[string]string{file: text, filepath.Join(dir, "main.tf"): "terraform {}\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := func(input, program string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir, cmd.Stdin, cmd.Env = dir, strings.NewReader(input), append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_CLI_CONFIG_FILE=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v: %s", program, strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run := func(input string, args ...string) string {
		t.Helper()
		return command(input, terraform, args...)
	}
	run("", "fmt", "-check", "-diff")
	run("", "init", "-backend=false")
	run("", "validate")
	got := run("join(\" \", concat(local.cloudfront_ipv4, local.cloudfront_ipv6))\n", "console")
	if want := `"18.64.0.0/14 52.84.0.0/15 2600:9000:1000::/36"`; got != want {
		t.Errorf("it finds %s, want %s", got, want)
	}
	says := headerOf(t, text)
	command("", "sh", "-c", says.load)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	command("", "sh", "-c", says.takeOut)
}
