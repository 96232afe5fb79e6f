# internet.sh COMMAND...: runs a command where some names have public addresses that only exist there:
#   unshare --net --mount sh internet.sh COMMAND...
set -e
dir=$(mktemp -d)
trap 'kill $origins 2>/dev/null; rm -r "$dir"' EXIT
cat >"$dir/hosts" <<HOSTS
52.95.128.10 origin.example.com half.example.com
52.95.128.11 half.example.com
52.95.128.12 slow.example.com
52.95.128.13 expired.example.com
52.95.128.14 busy.example.com
52.95.129.7 blocked.example.com
52.95.130.7 away.example.com
10.0.3.17 internal.example.com
2600:1f18:1234::10 six.example.com
HOSTS
mount --bind "$dir/hosts" /etc/hosts

ip link set lo up
for address in 52.95.128.10 52.95.128.11 52.95.128.12 52.95.128.13 52.95.128.14 10.0.3.17; do
    ip address add $address/32 dev lo
done
ip -6 address add 2600:1f18:1234::10/128 dev lo nodad
# What is sent to 52.95.129.7 arrives where nobody takes it.
ip link add outside type veth peer name void
ip link set outside up
ip link set void up
ip address add 52.95.129.1/24 dev outside
ip neighbor add 52.95.129.7 lladdr 02:00:00:00:00:07 dev outside

serve() {
    origin "$1" "$2" >"$dir/ready" &
    origins="$origins $!"
    until test -s "$dir/ready"; do sleep 0.05; done
    rm "$dir/ready"
}
serve 52.95.128.10:80 200
serve '[2600:1f18:1234::10]:80' 200
serve 10.0.3.17:80 200
serve 52.95.128.12:80 silence
serve 52.95.128.13:443 expired
serve 52.95.128.14:80 busy

"$@"
