use ephor_tests as _;
