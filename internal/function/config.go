package function

import "cloudfront-sg-sync/internal/config"

// Config is what the command calls the settings until it uses internal/config itself.
type Config = config.Config

// ReadConfig is config.Read.
var ReadConfig = config.Read
