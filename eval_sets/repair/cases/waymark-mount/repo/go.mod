module example.com/waymark

go 1.21
