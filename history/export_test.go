package history

// SetMost sets how many bytes r folds at once.
func SetMost(r *Read, most int) { r.most = most }
