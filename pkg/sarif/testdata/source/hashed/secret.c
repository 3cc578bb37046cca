static const char *password = "not-a-real-one";
