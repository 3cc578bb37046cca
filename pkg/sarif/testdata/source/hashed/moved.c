void f() {
	do_something(unsafe);
}



void g() {
	do_something(unsafe);
}
