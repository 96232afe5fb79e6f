package door

import "testing"

func TestParseName(t *testing.T) {
	for text, want := range map[string][2]string{
		"shop": {"shop", ""},
		"arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/my-shop/50dc6c495c0c9188":  {"my-shop", "eu-west-1"},
		"arn:aws-cn:elasticloadbalancing:cn-north-1:111122223333:loadbalancer/net/shop/50dc6c495c0c9188": {"shop", "cn-north-1"},
		"arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/classic":                       {"classic", "us-east-1"},
		"arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/shop/50dc6c495c0c9188":          {"arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/shop/50dc6c495c0c9188", ""},
		"arn:aws:ec2:us-east-1:111122223333:instance/i-0123456789abcdef0":                                {"i-0123456789abcdef0", "us-east-1"},
		"arn:aws:ec2:us-east-1:111122223333:security-group/sg-0123456789abcdef0":                         {"sg-0123456789abcdef0", "us-east-1"},
		"my-shop-1234567890.us-east-1.elb.amazonaws.com":                                                 {"my-shop", "us-east-1"},
		"dualstack.Shop-1234567890.us-east-1.elb.amazonaws.com":                                          {"Shop", "us-east-1"},
		"DUALSTACK.internal-shop-1234567890.US-EAST-1.elb.amazonaws.com.":                                {"shop", "us-east-1"},
		"ipv6.classic-1234567890.us-east-1.elb.amazonaws.com":                                            {"classic", "us-east-1"},
		"internal-shop-1234567890.eu-west-1.elb.amazonaws.com":                                           {"shop", "eu-west-1"},
		"shop-50dc6c495c0c9188.elb.eu-west-1.amazonaws.com":                                              {"shop", "eu-west-1"},
		"eu-west-1b.shop-50dc6c495c0c9188.elb.eu-west-1.amazonaws.com":                                   {"shop", "eu-west-1"},
		"shop-1234567890.cn-north-1.elb.amazonaws.com.cn.":                                               {"shop", "cn-north-1"},
		"https://shop-1234567890.us-east-1.elb.amazonaws.com:8443/path?q#f":                              {"shop", "us-east-1"},
		"\tshop-1234567890.us-east-1.elb.amazonaws.com/\n":                                               {"shop", "us-east-1"},
		"www.example.com":          {"www.example.com", ""},
		"HTTPS://www.example.com.": {"www.example.com", ""},
		"198.51.100.7:443":         {"198.51.100.7", ""},
		"http://198.51.100.7":      {"198.51.100.7", ""},
		"[2600:1f18::7]:443":       {"2600:1f18::7", ""},
		"2600:1f18::7":             {"2600:1f18::7", ""},
		"SG-0123456789ABCDEF0":     {"sg-0123456789abcdef0", ""},
		"":                         {"", ""},
	} {
		if name, region := ParseName(text); [2]string{name, region} != want {
			t.Errorf("%s: %s %s, want %s", text, name, region, want)
		}
	}
}
