package mailbox_test

func crashChild() bool { return false }
