module fetch

go 1.24

require github.com/go-graphite/go-whisper v0.0.0-20200906172244-8c4f3a7a4cd6
