#![no_main]

ephor_fuzz::door!(event);
