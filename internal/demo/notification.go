package demo

import (
	"encoding/json"
	"time"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/iprange"

	"github.com/aws/aws-lambda-go/events"
)

// notification returns the event with which Lambda tells the function of a message on the topic. See
// https://docs.aws.amazon.com/vpc/latest/userguide/subscribe-notifications.html
func notification(d *document) ([]byte, error) {
	message, err := json.Marshal(map[string]string{
		"create-time": d.publication.Published.Format("2006-01-02T15:04:05-07:00"),
		"synctoken":   d.publication.SyncToken,
		"md5":         d.md5(),
		"url":         iprange.DefaultURL,
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(events.SNSEvent{Records: []events.SNSEventRecord{{
		EventSource:          "aws:sns",
		EventVersion:         "1.0",
		EventSubscriptionArn: config.DefaultTopicARN + ":00000000-0000-0000-0000-000000000000",
		SNS: events.SNSEntity{
			Type:      "Notification",
			MessageID: "00000000-0000-0000-0000-000000000000",
			TopicArn:  config.DefaultTopicARN,
			Subject:   "IP Space Changed",
			Message:   string(message),
			Timestamp: d.publication.Published.Add(36 * time.Second),
		},
	}}})
}
