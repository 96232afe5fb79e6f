package stack

import "testing"

// A first deployment with all defaults works in a new account: Lambda lets it reserve no execution, as it wants 100
// left for other functions and new accounts have fewer in all.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
func TestNewAccount(t *testing.T) {
	s := readFiles(t).template(t, mainFile)
	if reserved := deploy(s, nil).property("SyncFunction", "ReservedConcurrentExecutions"); reserved != nil {
		t.Errorf("by default %v executions are reserved", reserved)
	}
	asked := deploy(s, map[string]string{"OneRunAtATime": "true"})
	if reserved := asked.property("SyncFunction", "ReservedConcurrentExecutions"); reserved != "1" {
		t.Errorf("with OneRunAtATime=true %v executions are reserved", reserved)
	}
}
