package door

import "testing"

func TestParseBalancer(t *testing.T) {
	for text, want := range map[string][2]string{
		"shop": {"shop", ""},
		"arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/my-shop/50dc6c495c0c9188":  {"my-shop", "eu-west-1"},
		"arn:aws-cn:elasticloadbalancing:cn-north-1:111122223333:loadbalancer/net/shop/50dc6c495c0c9188": {"shop", "cn-north-1"},
		"arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/classic":                       {"classic", "us-east-1"},
		"my-shop-1234567890.us-east-1.elb.amazonaws.com":                                                 {"my-shop", "us-east-1"},
		"dualstack.Shop-1234567890.us-east-1.elb.amazonaws.com":                                          {"Shop", "us-east-1"},
		"internal-shop-1234567890.eu-west-1.elb.amazonaws.com":                                           {"shop", "eu-west-1"},
		"shop-50dc6c495c0c9188.elb.eu-west-1.amazonaws.com":                                              {"shop", "eu-west-1"},
		"shop-1234567890.cn-north-1.elb.amazonaws.com.cn.":                                               {"shop", "cn-north-1"},
		"www.example.com": {"www.example.com", ""},
	} {
		if name, region := ParseBalancer(text); [2]string{name, region} != want {
			t.Errorf("%s: %s %s, want %s", text, name, region, want)
		}
	}
}
