# internet.sh COMMAND...: runs a command where some names have public addresses that only exist there:
#   unshare --net --mount sh internet.sh COMMAND...
set -e
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'kill $origins 2>/dev/null; rm -r "$dir"' EXIT
cat >"$dir/hosts" <<HOSTS
52.95.128.10 origin.example.com half.example.com
52.95.128.11 half.example.com
52.95.128.12 slow.example.com
52.95.128.13 expired.example.com
52.95.128.14 busy.example.com
52.95.128.15 secret.example.com
52.95.129.7 blocked.example.com
52.95.129.8 closed.example.com
52.95.129.9 open.example.com
52.95.130.7 away.example.com
10.0.3.17 internal.example.com
2600:1f18:1234::10 six.example.com
HOSTS
mount --bind "$dir/hosts" /etc/hosts

ip link set lo up
for address in 52.95.128.10 52.95.128.11 52.95.128.12 52.95.128.13 52.95.128.14 52.95.128.15 10.0.3.17; do
    ip address add $address/32 dev lo
done
ip -6 address add 2600:1f18:1234::10/128 dev lo nodad
# Nobody answers at these addresses.
ip link add outside type veth peer name void
ip link set outside up
ip link set void up
ip address add 52.95.129.1/24 dev outside
for address in 52.95.129.7 52.95.129.8 52.95.129.9; do
    ip neighbor add $address lladdr 02:00:00:00:00:07 dev outside
done

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
export SSL_CERT_FILE="$dir/authorities.pem"
serve 52.95.128.15:443 secret

# AWS, with the security groups of those that do not answer.
cat >"$dir/ip-ranges.json" <<RANGES
{"syncToken": "1787411825", "createDate": "2026-08-22-15-17-05", "prefixes": [
  {"ip_prefix": "18.64.0.0/14", "region": "GLOBAL", "service": "CLOUDFRONT", "network_border_group": "GLOBAL"}
], "ipv6_prefixes": [
  {"ipv6_prefix": "2600:9000:1000::/36", "region": "GLOBAL", "service": "CLOUDFRONT", "network_border_group": "GLOBAL"}
]}
RANGES
cat >"$dir/groups.json" <<GROUPS
{"groups": [
  {"name": "closed", "ingress": [{"protocol": "tcp", "ports": "443", "source": "18.64.0.0/14"}, {"protocol": "tcp", "ports": "443", "source": "2600:9000:1000::/36"}]},
  {"name": "open", "ingress": [{"protocol": "tcp", "ports": "443", "source": "0.0.0.0/0"}]},
  {"name": "blocked"}
], "interfaces": [
  {"groups": ["closed"], "publicIp": "52.95.129.8"},
  {"groups": ["closed", "open"], "publicIp": "52.95.129.9"},
  {"groups": ["blocked"], "publicIp": "52.95.129.7"},
  {"groups": ["closed"], "publicIp": "52.95.128.15"},
  {"groups": ["closed", "open"], "publicIp": "52.95.128.13"}
]}
GROUPS
cfsg sim --seed "$dir/groups.json" >"$dir/ready" &
origins="$origins $!"
until test -s "$dir/ready"; do sleep 0.05; done
rm "$dir/ready"
export AWS_ENDPOINT_URL=http://127.0.0.1:4566 AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any
serve 127.0.0.1:8080 "$dir/ip-ranges.json"
export IP_RANGES_URL=http://127.0.0.1:8080/
serve 127.0.0.1:8081 "$here/cloudfront"
export AWS_ENDPOINT_URL_CLOUDFRONT=http://127.0.0.1:8081

"$@"
