"""What a bot writes is Markdown; here it becomes what each platform shows."""
